"""The installation, and each kind of task once."""

import copy
import json

import jobs
from chart import CONNECTORS, NAMESPACE
from jobs import ROWS, STREAM, Job
from scenario import equal, expect, scenario


@scenario(ci=True, vital=True)
def the_chart_installs_and_its_api_answers_through_the_service(world):
    world.chart.lint()
    world.chart.install()
    world.sign_in()
    world.wait_for_workers()
    namespace = world.kubectl.get("namespace", CONNECTORS, NAMESPACE)
    equal(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted", "what the namespace enforces")


@scenario(ci=True)
def the_api_server_takes_every_object_of_the_chart_to_the_letter(world):
    # Under another name, so that everything is new.
    world.kubectl.run("apply", "--dry-run=server", "--validate=strict", "--filename", "-",
                      given=world.chart.rendered(release="checked"))


@scenario(ci=True, vital=True)
def spec_check_and_discover_run_as_pods(world):
    spec = world.client.get(f"/sources/spec?type={jobs.TYPE}&version={jobs.VERSION}")
    expect("path" in json.dumps(spec), "the form of the source has no path")
    tested = world.client.post("/sources/test", jobs.source())
    equal(tested["connection_result"]["status"], "SUCCEEDED", f"the test of the source ({tested['connection_result']})")
    tested = world.client.post("/destinations/test", jobs.destination())
    equal(tested["connection_result"]["status"], "SUCCEEDED", f"the test of the destination ({tested['connection_result']})")
    refused = world.client.post("/sources/test", jobs.source(path="/nowhere"))
    equal(refused["connection_result"]["status"], "FAILED", "the test of a folder that is not there")
    expect("/nowhere" in refused["connection_result"]["message"], f"its words: {refused['connection_result']['message']}")
    names = sorted(entry["stream"]["name"] for entry in world.catalog()["streams"])
    equal(names, [STREAM, "zones"], "the streams")
    seen = {pod.arguments[0] for pod in world.watcher.all()}
    expect({"spec", "check", "discover"} <= seen, f"pods were seen for {seen} only")


@scenario(ci=True)
def a_second_sync_goes_on_from_the_state_of_the_first(world):
    job = Job(world, "twice", {"log_lines": 500})
    task = job.sync()
    first = task.wait_for_end()
    equal(first["records_read"], ROWS, "rows of the first sync")
    equal(first["exit_code"], 0, "its exit code")
    equal(job.cursor(), ROWS, "the cursor after it")
    task.expect_every_line_once(500)
    task.expect_nothing_left()
    job.expect_next_sync_goes_on()


@scenario(ci=True)
def a_task_shows_the_pod_and_the_node_it_ran_on(world):
    task = Job(world, "placed").sync()
    attempt = task.wait_for_end()["attempts"][0]
    equal(attempt.get("pod"), task.pods()[0].name, "the pod of the attempt")
    equal(attempt.get("node"), task.pods()[0].last["spec"]["nodeName"], "the node of the attempt")


@scenario(ci=True)
def a_clear_empties_the_state_of_its_streams(world):
    job = Job(world, "cleared")
    job.sync().wait_for_end()
    task = job.clear()
    task.wait_for_end()
    equal(task.pods()[0].arguments[0], "clear-destination", "what the pod was asked for")
    equal(job.cursor(), 0, "the cursor after the clear")


@scenario(ci=True)
def a_difference_is_told_by_the_connector(world):
    job = Job(world, "different")
    same = world.client.post(f"/jobs/{job.id}/stream-difference", {"updated_streams_config": world.catalog()})
    equal(same["difference_streams"], {}, "the difference to itself")
    changed = copy.deepcopy(world.catalog())
    changed["selected_streams"][jobs.NAMESPACE][0]["append_mode"] = True
    answer = world.client.post(f"/jobs/{job.id}/stream-difference", {"updated_streams_config": changed})
    selections = answer["difference_streams"].get("selected_streams", {}).get(jobs.NAMESPACE, [])
    equal([one["stream_name"] for one in selections], [STREAM], "the streams that differ")
