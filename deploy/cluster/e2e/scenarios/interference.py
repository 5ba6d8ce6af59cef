"""What others do to the cluster and to our pods."""

import os
import subprocess
import time
import uuid

from chart import CONNECTORS, HERE
from injection import BESIDE, Injection
from jobs import ROWS, TYPE, VERSION, Job
from scenario import equal, expect, scenario, until

CLUSTER = os.path.join(HERE, "../cluster.sh")


@scenario()
def a_sidecar_that_never_ends_does_not_hold_up_the_end(world):
    with Injection(world.kubectl, CONNECTORS, world.folder, BESIDE):
        job = Job(world, "meshed")
        begin = time.monotonic()
        task = job.sync()
        ended = task.wait_for_end(seconds=60)
        seconds = time.monotonic() - begin
    pod = task.pods()[0]
    containers = [container["name"] for container in pod.first["spec"]["containers"]]
    expect("mesh" in containers, f"nothing was injected: {containers}")
    equal(ended["records_read"], ROWS, "rows")
    equal(job.cursor(), ROWS, "the cursor of the state")
    expect(seconds < 30, f"the end took {seconds:.0f} s")
    task.expect_nothing_left(240)
    job.expect_next_sync_goes_on()


@scenario()
def a_minute_without_the_api_server_fails_nothing(world):
    # Scheduler and kubelet find back to it only after a minute or two; the deadline of other scenarios is shorter.
    with world.installed_with("config.kubernetes.schedule_seconds=300"):
        without_the_api_server(world)


def without_the_api_server(world):
    lines = 1600
    job = Job(world, "long", {"take_seconds": 80, "log_lines": lines, "log_lines_per_second": 20})
    short = Job(world, "short", {"take_seconds": 15})
    late = Job(world, "late")
    tasks = [job.sync(), short.sync()]
    for task in tasks:
        task.wait_for_phase("running")
    subprocess.run([CLUSTER, "kill", "kube-apiserver"], check=True, capture_output=True)
    try:
        time.sleep(10)
        tasks.append(late.sync())
        time.sleep(50)
        statuses = [task.status() for task in tasks]
    finally:
        subprocess.run([CLUSTER, "up"], check=True, capture_output=True)
    expect("failed" not in statuses, f"statuses while it was away: {statuses}")
    for task in tasks:
        equal(task.wait_for_end(seconds=300)["attempt"], 1, f"attempts of task {task.id}")
    world.wait_for_calm()
    tasks[0].expect_every_line_once(lines)
    for one in (job, short, late):
        equal(one.cursor(), ROWS, "the cursor of the state")
        one.expect_next_sync_goes_on()


OURS = ("app.kubernetes.io/managed-by", "olake.io/task", "olake.io/attempt")


@scenario()
def labels_that_are_changed_by_hand_change_nothing_of_the_end(world):
    lines = 300
    job = Job(world, "relabelled", {"take_seconds": 15, "log_lines": lines, "log_lines_per_second": 20})
    task = job.sync()
    task.wait_for_phase("running")
    pod = task.pods()[0]
    before = {name: pod.last["metadata"]["labels"][name] for name in OURS}
    # Gone, and changed: to the watch the pod is gone either way.
    world.kubectl.run("label", "pod", pod.name, "--namespace", CONNECTORS, "--overwrite",
                      f"{OURS[0]}=somebody", f"{OURS[1]}-", f"{OURS[2]}-")

    def are_back():
        found = world.kubectl.get("pod", pod.name, CONNECTORS)
        return found and {name: found["metadata"]["labels"].get(name) for name in OURS} == before

    until("the labels are not put back", are_back, 30)
    ended = task.wait_for_end(seconds=120)
    equal([one.uid for one in task.pods()], [pod.uid], "the pods of the task")
    equal(ended["attempt"], 1, "attempts")
    equal(job.cursor(), ROWS, "the cursor of the state")
    task.expect_every_line_once(lines)
    world.wait_for_nothing_left()


@scenario()
def pods_and_secrets_of_tasks_that_nobody_knows_are_swept(world):
    task = uuid.uuid4()
    name = f"olake-{task.hex}-1"
    labels = dict(zip(OURS, ("olake-worker", str(task), "1")))
    # One that has our name and labels, and one that has the labels alone; the pods with our finalizer.
    for found in (name, f"copy-of-{name}"):
        metadata = {"name": found, "namespace": CONNECTORS, "labels": labels}
        world.kubectl.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": "x"}})
        world.kubectl.create(orphan(dict(metadata, finalizers=["olake.io/outcome"])))
    # Neither ours by name nor by labels.
    foreign = {"name": "somebodys", "namespace": CONNECTORS}
    world.kubectl.create({"apiVersion": "v1", "kind": "Secret", "metadata": foreign, "stringData": {"mine": "x"}})
    try:
        # Workers look once in a minute; a pod has the grace of a stop.
        until("they are left", lambda: world.ours_left() == ["secrets/somebodys"], 240)
    finally:
        world.kubectl.delete("secret", "somebodys", CONNECTORS)


def orphan(metadata):
    """A pod with an image that the node has, as the namespace allows it. It ends soon; its finalizer holds it all the same."""
    restricted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "connector", "image": f"localhost/olakego/source-{TYPE}:{VERSION}", "imagePullPolicy": "Never",
                 "args": ["spec"], "securityContext": restricted}
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container],
            "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
