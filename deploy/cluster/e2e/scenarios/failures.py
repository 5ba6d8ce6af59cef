"""What Kubernetes says of a pod, and what becomes of its task."""

from chart import CONNECTORS
from injection import Injection
from jobs import ROWS, Job, told
from registry import MISSING
from scenario import equal, expect, scenario


@scenario(ci=True)
def a_connector_out_of_memory_is_tried_once_with_more_and_then_fails_in_plain_words(world):
    job = Job(world, "hungry", {"eat_memory_mb": 400}, settings={"max_memory": "64Mi"})
    task = job.sync()
    ended = task.wait_for_end("failed", seconds=180)
    equal(ended["failure_class"], "out_of_memory", f"the class ({told(ended)})")
    expect("memory" in ended["failure_message"], f"its words: {ended['failure_message']}")
    limits = [pod.connector["resources"]["limits"]["memory"] for pod in task.pods()]
    equal(limits, ["64Mi", "128Mi"], "the memory limits of its pods")
    equal([attempt["failure_class"] for attempt in ended["attempts"]], ["out_of_memory"] * 2, "its attempts")


@scenario()
def a_connector_that_ends_well_although_a_child_of_it_was_out_of_memory_is_out_of_memory_as_well(world):
    job = Job(world, "hungry child", {"child_eats_memory_mb": 400}, settings={"max_memory": "64Mi"})
    ended = job.sync().wait_for_end("failed", seconds=180)
    equal([(attempt["failure_class"], attempt["exit_code"]) for attempt in ended["attempts"]], [("out_of_memory", 0)] * 2,
          "its attempts")


@scenario(ci=True)
def an_image_that_is_not_there_fails_as_image_with_the_words_of_kubernetes(world):
    task = Job(world, "missing", version=MISSING).sync()
    ended = task.wait_for_end("failed", seconds=180)
    equal(ended["failure_class"], "image", f"the class ({told(ended)})")
    words = ended["failure_message"]
    expect(MISSING in words and "not found" in words, f"its words: {words}")


@scenario()
def a_node_selector_that_no_node_has_fails_as_unschedulable(world):
    task = Job(world, "nowhere", settings={"profile": "nowhere"}).sync()
    ended = task.wait_for_end("failed", seconds=180)
    equal(ended["failure_class"], "unschedulable", f"the class ({told(ended)})")
    expect("node" in ended["failure_message"], f"its words: {ended['failure_message']}")


@scenario(ci=True)
def the_connectors_own_error_is_its_tasks(world):
    ended = Job(world, "failing", {"fail_after_rows": 1000}).sync().wait_for_end("failed")
    equal(ended["failure_class"], "connector", f"the class ({told(ended)})")
    equal(ended["exit_code"], 1, "the exit code")
    expect("failed after 1000 rows" in ended["failure_message"], f"its words: {ended['failure_message']}")


@scenario(ci=True)
def the_words_of_a_crash_are_told_without_the_password_in_them(world):
    password = "hunter22-in-a-panic"
    job = Job(world, "panicking", {"panic": f"cannot log in with {password}"}, password=password)
    task = job.sync()
    ended = task.wait_for_end("failed")
    equal(ended["failure_class"], "connector", f"the class ({told(ended)})")
    equal(ended["exit_code"], 2, "the exit code")
    expect("panic: cannot log in with ********" in ended["failure_message"], f"its words: {ended['failure_message']}")
    messages = list(task.messages())
    equal(messages.count("panic: cannot log in with ********"), 1, f"lines of the panic in its log ({messages})")
    expect(any("goroutine 1" in line for line in messages), f"the rest of the panic is not in its log: {messages}")
    expect(not any(password in line for line in messages), "the password is in its log")


def expect_tried_again(world, name, end):
    """`end` ends the first pod of a sync from outside; a second one goes on from the last state."""
    job = Job(world, name, {"take_seconds": 15})
    task = job.sync_in_its_midst()
    end(task.pods()[0].name)
    ended = task.wait_for_end(seconds=240)
    equal(ended["attempts"][0]["failure_class"], "infrastructure", f"the first attempt ({ended['attempts'][0]})")
    equal(len(ended["attempts"]), 2, "attempts")
    expect("--state" in task.pods()[1].arguments, "the second pod was given no state")
    equal(job.cursor(), ROWS, "the cursor after it")
    task.expect_nothing_left()
    job.expect_next_sync_goes_on()


@scenario()
def a_pod_that_somebody_deletes_is_tried_again_from_the_last_state(world):
    expect_tried_again(world, "deleted", lambda pod: world.kubectl.run(
        "delete", "pod", pod, "--namespace", world.watcher.namespace, "--wait=false"))


@scenario()
def a_pod_that_is_evicted_is_tried_again_from_the_last_state(world):
    def evict(pod):
        namespace = world.watcher.namespace
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        world.kubectl.run("create", "--raw", f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction", "--filename", "-",
                          given=eviction)

    expect_tried_again(world, "evicted", evict)


def sync_of_a_changed_pod(world, job, patch):
    """A sync whose pods somebody's webhook changes so, as it failed. Later ones are as they should be."""
    with Injection(world.kubectl, CONNECTORS, world.folder, [patch]):
        task = job.sync()
        return task, task.wait_for_end("failed", seconds=180)


def expect_failed(job, task, ended, failure_class, attempts, *words):
    """Each of its attempts ended with this class, and it with these words; the next sync goes well."""
    equal([attempt["failure_class"] for attempt in ended["attempts"]], [failure_class] * attempts, "its attempts")
    for part in words:
        expect(part in ended["failure_message"], f"its words have not '{part}': {ended['failure_message']}")
    equal(len(task.pods()), attempts, "its pods")
    task.expect_nothing_left(120)
    job.sync().wait_for_end()
    equal(job.cursor(), ROWS, "the cursor after the next sync")


@scenario()
def a_program_that_is_not_in_the_image_fails_as_image_with_the_words_of_kubernetes(world):
    job = Job(world, "no program")
    patch = {"op": "add", "path": "/spec/containers/0/command", "value": ["/nothing"]}
    expect_failed(job, *sync_of_a_changed_pod(world, job, patch), "image", 1, "the connector's program cannot be started",
                  "/nothing", "no such file")


@scenario()
def an_image_name_that_is_none_fails_as_image_as_soon_as_kubernetes_says_so(world):
    job = Job(world, "no name")
    patch = {"op": "replace", "path": "/spec/containers/0/image", "value": "localhost/Upper:1"}
    # A kubelet says it some 15 s after the pod was made.
    with world.installed_with("config.kubernetes.pull_seconds=600"):
        failed = sync_of_a_changed_pod(world, job, patch)
    expect_failed(job, *failed, "image", 1, "an image of the pod could not be fetched: ", "InvalidImageName", "localhost/Upper:1")


@scenario()
def a_variable_from_a_config_map_that_is_not_there_fails_as_infrastructure_with_its_name(world):
    # It may come yet: there is a limit for it, and it is tried again as everything of the infrastructure.
    job = Job(world, "no config", settings={"retries": 1})
    missing = {"name": "GIVEN", "valueFrom": {"configMapKeyRef": {"name": "nobodys", "key": "given"}}}
    patch = {"op": "add", "path": "/spec/containers/0/env/-", "value": missing}
    with world.installed_with("config.kubernetes.pull_seconds=600", "config.kubernetes.start_seconds=15"):
        failed = sync_of_a_changed_pod(world, job, patch)
    expect_failed(job, *failed, "infrastructure", 2, "did not start within 15 s", "CreateContainerConfigError",
                  'configmap "nobodys" not found')


@scenario()
def a_pod_that_kubernetes_ends_for_its_deadline_fails_as_timeout(world):
    job = Job(world, "late", {"take_seconds": 120})
    task = job.sync_in_its_midst()
    # Counted from the pod's start: it is over.
    world.kubectl.run("patch", "pod", task.pods()[0].name, "--namespace", CONNECTORS, "--patch",
                      '{"spec": {"activeDeadlineSeconds": 1}}')
    ended = task.wait_for_end("failed", seconds=90)
    equal(ended["failure_class"], "timeout", f"the class ({told(ended)})")
    words = ended["failure_message"]
    expect("longer than Kubernetes was told to allow" in words and "deadline" in words, f"its words: {words}")
    equal(len(task.pods()), 1, "its pods")
    task.expect_nothing_left()
    job.expect_next_sync_reads_the_rest()


@scenario()
def a_pod_that_fills_its_disk_is_evicted_and_tried_again_as_the_job_says(world):
    profiles = '{"tight": {"resources": "disk=16Mi disk_request=16Mi"}}'
    # Restarted workers know the profile at once.
    with world.installed_with(f"connectors.profiles={profiles}", 'worker.podAnnotations={"profiles": "tight"}'):
        # Its lines have more than 20 MB.
        job = Job(world, "full disk", {"take_seconds": 240, "log_lines": 250_000}, settings={"profile": "tight", "retries": 1})
        task = job.sync()
        ended = task.wait_for_end("failed", seconds=480)
        equal([attempt["failure_class"] for attempt in ended["attempts"]], ["infrastructure"] * 2, "its attempts")
        for attempt in ended["attempts"]:
            words = attempt["failure_message"]
            expect("the pod was evicted from its node" in words and "ephemeral" in words, f"its words: {words}")
        expect("--state" in task.pods()[1].arguments, "the second pod was given no state")
        task.expect_nothing_left(120)
        job.expect_next_sync_reads_the_rest()
