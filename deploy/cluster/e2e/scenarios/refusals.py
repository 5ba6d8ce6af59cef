"""Bad input: refused with clear words, and nothing is changed by it."""

import os
import re

import internal
from chart import CONNECTORS, NAMESPACE, WORKER, objection
from client import Refused
from jobs import ROWS, Job, destination, source, told
from scenario import Failed, equal, expect, scenario, until

SECONDS, LINES, PER_SECOND = 15, 300, 20
# Those of values.yaml.
PROFILES = {"nowhere": {"node_selector": {"pool": "nowhere"}}}
DEFAULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../../shared/src/config/default.toml")


def running(world, name, seconds=SECONDS):
    """A sync in its midst, with its pod."""
    job = Job(world, name, {"take_seconds": seconds, "log_lines": LINES, "log_lines_per_second": PER_SECOND})
    task = job.sync_in_its_midst()
    task.wait_for_lines(2 * PER_SECOND)
    return job, task, task.pods()[0]


def expect_undisturbed(job, task):
    """It ends as if nothing had been tried."""
    ended = task.wait_for_end()
    equal(ended["attempt"], 1, "attempts")
    equal(ended["records_read"], ROWS, "rows")
    task.expect_every_line_once(LINES)
    expect("forged" not in set(task.messages()), "a forged line is in the log")
    expect("forged" not in job.state(), "the state is a forged one")
    equal(job.cursor(), ROWS, "the cursor of the state")


def expect_refused(answer, status, words):
    equal(answer[0], status, f"the status of the answer ({answer[1]})")
    expect(words in answer[1], f"the answer has not the words '{words}': {answer[1]}")


@scenario(ci=True)
def a_push_with_a_token_that_is_not_the_attempts_is_refused(world):
    (mine, task, pod), (other, other_task, _) = running(world, "mine"), running(world, "other")
    token = internal.token_of(world.kubectl, pod.name)
    expect_refused(internal.push(other_task.id, 1, token, 1000), 403, "the token is that of another attempt or task")
    expect_refused(internal.push(task.id, 2, token, 1000), 403, "the token is that of another attempt or task")
    expect_refused(internal.push(task.id, 1, None, 1000), 401, "token is missing")
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    expect_refused(internal.push(task.id, 1, forged, 1000), 401, "none of this installation's")
    expect_undisturbed(mine, task)
    expect_undisturbed(other, other_task)
    expect_refused(internal.push(task.id, 1, token, 1000), 409, "over")


@scenario(ci=True)
def a_push_of_an_attempt_that_was_tried_again_is_refused(world):
    # It fails after three batches, and is tried again: both attempts take a while.
    job = Job(world, "twice tried", {"take_seconds": 20, "fail_after_rows": 3000}, settings={"retries": 1})
    task = job.sync()
    first = until("the task has no pod", task.pods, 60)[0]
    task.wait_for_phase("running")
    token = internal.token_of(world.kubectl, first.name)
    pods = until("there is no second pod", lambda: len(task.pods()) == 2 and task.pods(), 120)
    until("the second attempt does not run", lambda: task.show()["attempt"] == 2 and task.show().get("phase") == "running", 60)
    state = job.state()
    expect_refused(internal.push(task.id, 1, token, 1000), 409, "over")
    expect_refused(internal.push(task.id, 2, token, 1000), 403, "the token is that of another attempt or task")
    newer = internal.token_of(world.kubectl, pods[1].name)
    expect_refused(internal.push(task.id, 1, newer, 1000), 403, "the token is that of another attempt or task")
    expect("forged" not in job.state() and job.cursor() >= cursor(state), "the state has changed")
    task.wait_for_end("failed")
    expect("forged" not in job.state() and "forged" not in set(task.messages()), "something forged was stored")


def cursor(state):
    return int(state.rpartition('"id":')[2].split("}")[0])


@scenario(ci=True)
def a_push_with_an_old_sequence_number_changes_nothing(world):
    job, task, pod = running(world, "old push")
    token = internal.token_of(world.kubectl, pod.name)
    expect_refused(internal.push(task.id, 1, token, sequence=0), 409, "this push is old: it is number 0")
    expect_undisturbed(job, task)


@scenario(ci=True)
def a_push_of_a_hundred_megabytes_is_refused_and_costs_the_workers_nothing(world):
    job, task, pod = running(world, "large push")
    token = internal.token_of(world.kubectl, pod.name)
    before = restarts(world)
    for form in ({}, {"chunked": True}, {"packed": True}):
        answer = internal.push_megabytes(task.id, 1, token, 100, **form)
        expect_refused(answer, 413, "the body is too large")
    expect_undisturbed(job, task)
    equal(restarts(world), before, "the workers and their restarts")


def restarts(world):
    return {pod["metadata"]["uid"]: [status["restartCount"] for status in pod["status"]["containerStatuses"]]
            for pod in world.worker_pods()}


@scenario(ci=True)
def a_namespace_without_the_role_fails_new_syncs_in_words_and_leaves_running_ones_alone(world):
    job, task, _ = running(world, "with role", seconds=30)
    binding = world.kubectl.get("rolebinding", WORKER, CONNECTORS)
    world.kubectl.delete("rolebinding", WORKER, CONNECTORS)
    try:
        refused = Job(world, "without role").sync()
        ended = refused.wait_for_end("failed", seconds=60)
        words = ended["failure_message"]
        for word in ("forbidden", f"{NAMESPACE}:{WORKER}", "secrets", f'"{CONNECTORS}"', "Role"):
            expect(word in words, f"the words have no '{word}': {told(ended)}")
        equal(ended["failure_class"], "unschedulable", f"the class ({told(ended)})")
        equal(refused.pods(), [], "pods of a sync without the Role")
        equal(task.status(), "running", "the sync that ran before")
    finally:
        for key in ("managedFields", "resourceVersion", "uid", "creationTimestamp"):
            binding["metadata"].pop(key, None)
        world.kubectl.create(binding)
    expect_undisturbed(job, task)
    Job(world, "with role again").sync().wait_for_end()


def refused_by_the_api(world, what, settings=None, **of_source):
    """The words with which the API refuses a job with such settings, or such a source."""
    body = {"name": what, "source": dict(source(), name=what, **of_source), "destination": dict(destination(), name=what),
            "frequency": "0 0 29 2 *", "streams_config": world.catalog(), "advanced_settings": settings}
    try:
        world.client.post("/jobs", body)
    except Refused as error:
        equal(error.status, 400, f"the status for {what}")
        return error.body
    raise Failed(f"{what} was taken")


def refused_by_a_worker(world, variable, value):
    """The last words of a worker that is given such a configuration."""
    name = "olake-e2e-misconfigured"
    pattern = world.kubectl.get("deployment", WORKER, NAMESPACE)["spec"]["template"]["spec"]
    pattern["restartPolicy"] = "Never"
    container = pattern["containers"][0]
    container["env"] = [one for one in container["env"] if one["name"] != variable] + [{"name": variable, "value": value}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pattern}
    world.kubectl.create(pod, "--namespace", NAMESPACE)
    try:
        until(f"a worker with {variable}={value} has not ended", lambda: world.kubectl.get("pod", name, NAMESPACE)["status"]["phase"]
              in ("Failed", "Succeeded"), 60)
        equal(world.kubectl.get("pod", name, NAMESPACE)["status"]["phase"], "Failed", f"the end of a worker with {variable}={value}")
        return world.kubectl.run("logs", name, "--namespace", NAMESPACE)
    finally:
        world.kubectl.delete("pod", name, NAMESPACE, "--grace-period=0", "--force")


@scenario(ci=True)
def an_image_name_with_a_space_is_refused_wherever_it_could_come_from(world):
    jobs = len(world.client.get("/jobs"))
    revision, pods = world.chart.revision(), len(world.watcher.all())
    for field, value in (("version", "v0.9 4"), ("type", "fi les")):
        words = refused_by_the_api(world, f"spaced {field}", **{field: value})
        expect(f"source.{field}" in words, f"the answer does not name the field: {words}")
    words = objection(world.chart.upgrade, 'connectors.imageTemplate="olakego/source {type}:{version}"')
    expect(words and "imageTemplate" in words, f"helm does not name it: {words}")
    words = refused_by_a_worker(world, "OLAKE_IMAGE_TEMPLATE", "olakego/source {type}:{version}")
    expect("kubernetes.image_template (env OLAKE_IMAGE_TEMPLATE)" in words, f"the worker does not name it: {words}")
    equal(len(world.client.get("/jobs")), jobs, "jobs")
    equal(world.chart.revision(), revision, "the revision of the release")
    equal(len(world.watcher.all()), pods, "pods of connectors")


@scenario(ci=True)
def a_variable_that_contradicts_the_values_of_the_chart_is_refused(world):
    names = variables_of_the_file(world)
    expect("OLAKE_KUBERNETES_NAMESPACE" in names, f"the file has no namespace: {names}")
    for part, name in [*(("worker", name) for name in names), ("api", names[0]), ("api", "OLAKE_DATABASE_URL")]:
        words = objection(world.chart.rendered, *more_env(part, name))
        expect(words and f"extraEnv: the chart sets {name} itself" in words, f"{part}, {name}: {words}")
    equal(objection(world.chart.rendered, *more_env("worker", "OLAKE_KUBERNETES_QPS")), None, "what is said of another")


def more_env(part, name):
    return "--set-json", f'{part}.extraEnv=[{{"name":"{name}","value":"other"}}]'


def variables_of_the_file(world):
    """Those of all that the chart itself writes into the file of the configuration."""
    rendered = world.chart.rendered("--show-only", "templates/config.yaml", "--set-json", "config.kubernetes=null",
                                    "--set-json", 'connectors.typeResources=["files: cpu=1"]')
    with open(DEFAULTS, encoding="utf-8") as file:
        all_of_them = re.findall(r"^(\w+) = .*# (OLAKE_\w+)$", section(file.read(), "kubernetes"), re.MULTILINE)
    return [dict(all_of_them)[key] for key in re.findall(r"^ *(\w+) = ", section(rendered, "kubernetes"), re.MULTILINE)]


def section(toml, name):
    return re.search(rf"^ *\[{name}\]\n(.*?)(^ *\[|\Z)", toml, re.MULTILINE | re.DOTALL)[1]


@scenario(ci=True)
def a_resource_that_does_not_parse_stops_a_worker_with_its_name(world):
    words = refused_by_a_worker(world, "OLAKE_KUBERNETES_RESOURCES", "memory=lots")
    expect("kubernetes.resources (env OLAKE_KUBERNETES_RESOURCES)" in words and "lots" in words, f"its words: {words}")


@scenario()
def a_profile_that_does_not_parse_changes_nothing(world):
    before = restarts(world)
    world.profiles({**PROFILES, "broken": {"resources": "memory=lots"}})
    try:
        words = until("no worker tells of it", lambda: told_of_profiles(world), 180, pause=2)
        expect("memory=lots" in words or "'lots'" in words, f"its words: {words}")
        expect("broken" in refused_by_the_api(world, "broken", {"profile": "broken"}), "the answer does not name the profile")
        Job(world, "known", settings={"profile": "nowhere"})
        equal(restarts(world), before, "the workers and their restarts")
    finally:
        world.profiles(PROFILES)


def told_of_profiles(world):
    """What a worker says of a file of profiles that it does not take."""
    logs = (world.kubectl.run("logs", pod["metadata"]["name"], "--namespace", NAMESPACE) for pod in world.worker_pods())
    return next((line for log in logs for line in log.splitlines() if "the placement profiles stay as they were" in line), None)
