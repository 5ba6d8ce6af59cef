"""A thousand pods under one worker: their statuses are written by hand, and no kubelet knows them. Then also their agents: one
connection each, on which the end of the connector is waited for.

Without a scheduler they stay on no node, so nothing happens to them but what is done here. The cluster is of no use after it.
"""

import asyncio
import base64
import concurrent.futures
import json
import os
import re
import subprocess
import threading
import time

import jobs
from chart import CONNECTORS, HERE, NAMESPACE, SELECTORS, WORKER
from kubectl import processes
from runs import wait_for
from witness import memory, processor_seconds

CLUSTER = os.path.join(HERE, "../cluster.sh")
INTERNAL = (f"{WORKER}-internal.{NAMESPACE}.svc.cluster.local", 8082)
SETTLE = 30
QUIET = 120


class Crowd:
    """So many running pods, and their worker."""

    def __init__(self, bench, number):
        self.bench, self.number = bench, number
        self.pid = worker(bench.world)
        self.alone = memory(self.pid)[0]

    def gather(self):
        """Makes the pods, and waits until their tasks run."""
        bench, client = self.bench, self.bench.world.client
        made = [jobs.Job(bench.world, "crowd") for _ in range(self.number)]
        subprocess.run([CLUSTER, "kill", "kube-scheduler"], check=True, capture_output=True)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda job: client.post(f"/jobs/{job.id}/sync"), made))
        patched = set()
        wait_for(lambda: patch_all(bench, patched) == self.number, f"there are no {self.number} pods", 600)
        wait_for(self.runs, f"there are no {self.number} running tasks", 300)

    def runs(self):
        sql = "SELECT count(*) FROM tasks WHERE status = 'running' AND phase = 'running'"
        return int(self.bench.database.sql(sql)) == self.number

    def measure(self):
        """The worker's resident memory (MB, now and at most), and its share of a core."""
        time.sleep(SETTLE)
        begun, used = time.monotonic(), processor_seconds(self.pid)
        time.sleep(QUIET)
        share = (processor_seconds(self.pid) - used) / (time.monotonic() - begun)
        if worker(self.bench.world) != self.pid or not self.runs():
            raise RuntimeError("the worker was started again, or tasks have ended")
        return memory(self.pid), share

    def measure_with_agents(self):
        """The same, while an agent of each pod waits for the end."""
        agents = Agents(self.bench)
        wait_for(lambda: agents.failed or agents.waiting == self.number, "not all agents are let in", 300)
        found = self.measure()
        if agents.failed:
            raise RuntimeError(f"an agent failed: {agents.failed}")
        return found


class Agents:
    """Plays the agents of all pods. It ends with the process."""

    def __init__(self, bench):
        namespace = f"/api/v1/namespaces/{CONNECTORS}"
        pods = bench.api.call("GET", f"{namespace}/pods?labelSelector=olake.io/task")["items"]
        secrets = bench.api.call("GET", f"{namespace}/secrets?labelSelector=olake.io/task")["items"]
        tokens = {one["metadata"]["name"]: base64.b64decode(one["data"]["token"]).decode() for one in secrets}
        self.waiting, self.failed = 0, None
        threading.Thread(target=lambda: asyncio.run(self._all(pods, tokens)), daemon=True).start()

    async def _all(self, pods, tokens):
        try:
            await asyncio.gather(*(self._one(pod["metadata"], tokens[pod["metadata"]["name"]]) for pod in pods))
        except (OSError, EOFError, RuntimeError) as error:
            self.failed = error

    async def _one(self, meta, token):
        reader, writer = await asyncio.open_connection(*INTERNAL)
        path = f"/internal/v1/attempts/{meta['labels']['olake.io/task']}/{meta['labels']['olake.io/attempt']}"

        async def call(method, name, body=b""):
            writer.write(f"{method} {path}/{name} HTTP/1.1\r\nHost: {INTERNAL[0]}\r\nAuthorization: Bearer {token}\r\n"
                         f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = re.search(r"content-length: (\d+)", head)
            text = await reader.readexactly(int(length[1])) if length else b""
            return int(head.split(" ", 2)[1]), text

        me = {"pod_uid": meta["uid"], "pod_name": meta["name"], "node": "none", "started": False}
        status, text = await call("POST", "register", json.dumps(me).encode())
        if status != 200:
            raise RuntimeError(f"{status} {text[:300]}")
        incarnation = json.loads(text)["incarnation"]
        self.waiting += 1
        # 204: not yet.
        while (answer := await call("GET", f"end?incarnation={incarnation}"))[0] == 204:
            pass
        raise RuntimeError(f"its wait ended: {answer}")


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
