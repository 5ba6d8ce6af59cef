"""A thousand pods under one worker: their statuses are written by hand, and no kubelet knows them.

Without a scheduler they stay on no node, so nothing happens to them but what is done here.
"""

import concurrent.futures
import os
import subprocess
import time

import jobs
from chart import CONNECTORS, HERE, NAMESPACE, SELECTORS
from kubectl import processes
from runs import wait_for
from witness import memory, processor_seconds

CLUSTER = os.path.join(HERE, "../cluster.sh")
SETTLE = 30
QUIET = 120


def crowd(bench, number):
    """Resident memory (MB, now and at most) of the worker with so many running pods, and its share of a core while they are
    quiet."""
    world = bench.world
    pid = worker(world)
    before = memory(pid)[0]
    made = [jobs.Job(world, "crowd") for _ in range(number)]
    subprocess.run([CLUSTER, "kill", "kube-scheduler"], check=True, capture_output=True)
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda job: world.client.post(f"/jobs/{job.id}/sync"), made))
        patched = set()
        wait_for(lambda: patch_all(bench, patched) == number, f"there are no {number} pods", 600)
        running = "SELECT count(*) FROM tasks WHERE status = 'running' AND phase = 'running'"
        wait_for(lambda: int(bench.database.sql(running)) == number, f"there are no {number} running tasks", 300)
        time.sleep(SETTLE)
        begun, used = time.monotonic(), processor_seconds(pid)
        time.sleep(QUIET)
        share = (processor_seconds(pid) - used) / (time.monotonic() - begun)
        if worker(world) != pid or int(bench.database.sql(running)) != number:
            raise RuntimeError("the worker was started again, or tasks have ended")
        return before, memory(pid), share
    finally:
        subprocess.run([CLUSTER, "up"], check=True, capture_output=True)


def worker(world):
    pods = world.kubectl.list("pods", NAMESPACE, SELECTORS["worker"])
    found = [pid for pod in pods for pid in processes(pod, "olake-worker")]
    if len(found) != 1:
        raise RuntimeError(f"there are {len(found)} workers")
    return found[0]


def patch_all(bench, patched):
    """Lets the pods that are there, and do not yet, run; says how many do."""
    pods = f"/api/v1/namespaces/{CONNECTORS}/pods"
    for pod in bench.api.call("GET", f"{pods}?labelSelector=olake.io/task")["items"]:
        name = pod["metadata"]["name"]
        if name not in patched:
            bench.api.call("PATCH", f"{pods}/{name}/status", {"status": status()}, "application/merge-patch+json")
            patched.add(name)
    return len(patched)


def status():
    """Of a pod whose agent and connector run."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    condition = {"status": "True", "lastTransitionTime": now}
    container = {
        "ready": True, "started": True, "restartCount": 0, "image": "localhost/none:1", "imageID": "none",
        "state": {"running": {"startedAt": now}},
    }
    return {
        "phase": "Running", "startTime": now,
        "conditions": [{"type": kind, **condition} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")],
        "initContainerStatuses": [{"name": "agent", **container}],
        "containerStatuses": [{"name": "connector", **container}],
    }
