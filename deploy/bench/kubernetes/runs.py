"""Short syncs, one at a time on an idle installation: how soon each pod is asked for, what the agent adds to its start, and
how soon its end is stored.

Beside some of them, the same pod is made by hand without the agent, or with a sidecar that does nothing in its place. It finds no
inputs and fails, which is its first act too.

The kubelet looks at its containers once a second, and only after such a look does it start what waits for a sidecar, or tell of
an end. So syncs begin, and connectors end, at random within that second: by themselves they would do so always equally long after
a look.
"""

import copy
import random
import time

from apiserver import is_connector_over, is_gone
from chart import CONNECTORS
from jobs import Job
from kubectl import processes
from witness import container_made_at, exit_of, first_line_at

# The connector's program in its image.
PROGRAM = "olake"

# The same pod without the agent, and with a sidecar that does nothing in its place.
BARE, IDLE = "bare", "idle"
# Each is made beside every so many syncs: what waits for the kubelet's look takes a random time, and wants more tries.
EVERY = {BARE: 4, IDLE: 2}


def rest():
    """Between two pods, once nothing of the last one is left."""
    time.sleep(0.3 + random.random())


class Run:
    """One sync, and when what happened. Times are seconds since 1970."""

    def __init__(self, number):
        self.number = number
        self.answered = None  # the API's answer
        self.name, self.task = None, None
        self.opened, self.made = None, None  # the agent lets the connector start, the kubelet makes its container
        self.first_act, self.exited, self.seen_over = None, None, None
        self.beside = {}  # of the pods that were made beside it: a kind's name and first act


def runs(bench, number):
    """So many syncs, after one that does not count."""
    return [one_run(bench, n) for n in range(number + 1)][1:]


def one_run(bench, number):
    run = Run(number)
    job = Job(bench.world, "short", {"take_seconds": 1 + random.random()})
    rest()
    bench.world.client.post(f"/jobs/{job.id}/sync")
    run.answered = time.time()
    run.task = job.newest("sync").id
    run.name = f"olake-{run.task.replace('-', '')}-1"
    _, pod = bench.watch.first(run.name, lambda kind, _: kind == "ADDED")
    pid = wait_for(lambda: processes(pod, PROGRAM), "the connector does not run")[0]
    run.exited = exit_of(pid, 60)
    run.opened = first_line_at(bench.data, pod, "agent")
    run.first_act, run.made = first_line_at(bench.data, pod), container_made_at(bench.data, run.name)
    run.seen_over, _ = bench.watch.first(run.name, is_connector_over)
    bench.watch.first(run.name, is_gone)
    for kind, every in EVERY.items():
        if number % every == 1:
            run.beside[kind] = one_beside(bench, pod, kind, f"bench-{kind}-{number}")
    return run


def one_beside(bench, pod, kind, name):
    """The pod of a sync without the agent and what only that needs. Answers the new pod's name, and when it acted first."""
    spec = copy.deepcopy(pod["spec"])
    if kind == BARE:
        del spec["initContainers"]
    else:
        [sidecar] = spec["initContainers"]
        # A program that waits for ever; nobody waits for it.
        sidecar["args"] = ["agent-gate"]
        del sidecar["lifecycle"]
        sidecar["volumeMounts"] = [mount for mount in sidecar["volumeMounts"] if mount["name"] != "in"]
        # It does not end by itself.
        spec["terminationGracePeriodSeconds"] = 1
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] != "in"]
    for own in ("nodeName", "tolerations"):
        spec.pop(own, None)
    # Nothing else starts or ends meanwhile.
    rest()
    pods = f"/api/v1/namespaces/{CONNECTORS}/pods"
    bench.api.call("POST", pods, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    _, made = bench.watch.first(name, is_connector_over)
    first = wait_for(lambda: first_line_at(bench.data, made), f"the pod {name} printed nothing")
    bench.api.call("DELETE", f"{pods}/{name}")
    bench.watch.first(name, is_gone)
    return name, first


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise RuntimeError(what)
        time.sleep(0.05)


def start_delays(bench, done):
    """Seconds from the API's answer to the create request of each pod. Below zero: the request came first."""
    made = bench.audit.pods_made()
    return [made[run.name] - run.answered for run in done]


class Starts:
    """Seconds of each start."""

    def __init__(self, bench, done):
        made = bench.audit.pods_made()
        # From the create request to the connector's first act.
        self.with_agent = [run.first_act - made[run.name] for run in done]
        self.bare, self.idle = (
            [first - made[name] for name, first in (run.beside[kind] for run in done if kind in run.beside)] for kind in (BARE, IDLE))
        # From the agent's leave to the making of the connector's container.
        self.waits = [run.made - run.opened for run in done]


def end_delays(bench, done):
    """Seconds to the commit of the final status: from the later of the watch's event and the commit of the final record, and
    from the connector's exit."""
    by_news, by_exit = [], []
    for run in done:
        (ended, status) = bench.database.of_task(run.task, "status")[-1]
        if status != "succeeded":
            raise RuntimeError(f"task {run.task} {status}")
        (recorded, _) = bench.database.of_task(run.task, "record")[-1]
        by_news.append(ended - max(run.seen_over, recorded))
        by_exit.append(ended - run.exited)
    return by_news, by_exit
