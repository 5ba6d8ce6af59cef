"""Connectors as pods on a real Kubernetes of one node: how soon pods are asked for and ends are stored, what the agent costs,
and what a thousand pods cost their worker.

Runs in the cluster's network (run.sh), with PostgreSQL that keeps times of commits, and installs the chart with the settings
it has for production. Each row of the table says the load of the machine at its end, the cluster's own included.

Usage: kubernetes.py; OLAKE_TEST_CLUSTER_DATA and OLAKE_TEST_POSTGRES_URL name cluster and database, OLAKE_BENCH_PODS the parts
(default: runs,states,crowd).
"""

import json
import os
import statistics
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "../../cluster/e2e"), os.path.join(HERE, "../../test")]

from apiserver import ApiServer, Watch
from bench import percentile
from chart import CONNECTORS
from crowd import Crowd
from report import commit, machine
from runs import Starts, end_delays, runs, start_delays
from states import states
from witness import AuditLog, Database
from world import World

ROUNDS = int(os.environ.get("OLAKE_BENCH_ROUNDS", "100"))
STATE_RUNS = 3
CROWD = int(os.environ.get("OLAKE_BENCH_CROWD", "1000"))
IMAGES = "given" if os.environ.get("OLAKE_E2E_IMAGES") else "of this commit"
PARTS = os.environ.get("OLAKE_BENCH_PODS", "runs,states,crowd").split(",")

# What the e2e sets otherwise than the chart does.
USUAL = {"worker": {"lease_seconds": 15, "reconcile_seconds": 2}, "kubernetes": {"schedule_seconds": 600, "pull_seconds": 900},
         "log": {"filter": "info"}}
OF_CROWD = {**USUAL, "worker": {**USUAL["worker"], "places_sync": CROWD}}


class Bench:
    """What the parts work with."""

    def __init__(self, folder):
        self.data = os.environ["OLAKE_TEST_CLUSTER_DATA"]
        self.world = World(folder)
        # Its watcher and its registry would only take processor time here.
        self.world.stop()
        self.api = ApiServer(self.data)
        self.audit = AuditLog(self.data)
        self.watch, self.database = None, None

    def install(self):
        self.world.chart.install(values(USUAL))
        self.world.sign_in()
        self.world.wait_for_workers()
        self.database = Database(os.environ["OLAKE_TEST_POSTGRES_URL"])
        self.watch = Watch(self.api, CONNECTORS)

    def prepare_crowd(self):
        self.world.chart.upgrade(values(OF_CROWD), "worker.replicas=1")
        self.world.wait_for_workers(1)


def values(config):
    return f"config={json.dumps(config)}"


kept = []


def row(what, value, limit=None, unit="ms", digits=0):
    """A row of the table; `limit` is an upper one."""
    good = limit is None or value <= limit
    kept.append(good)
    told = "" if limit is None else f"≤ {limit:,} {unit}"
    verdict = "" if limit is None else "yes" if good else "**no**"
    print(f"| {what} | {value:,.{digits}f} {unit} | {told} | {verdict} | {os.getloadavg()[0]:.1f} |", flush=True)


def ms(values):
    return [1000 * value for value in values]


def short_runs(bench):
    done = runs(bench, ROUNDS)
    delays = ms(start_delays(bench, done))
    row(f"the API's answer to `sync` → the pod's create request at the API server, p50 of {len(done)}", statistics.median(delays), 20, digits=1)
    row("the same, p99", percentile(delays, 99), 150, digits=1)
    row("the same, most", max(delays), digits=1)
    starts = Starts(bench, done)
    # Means: with a wait of any length up to a second in it, they tell more than medians.
    agent, bare, idle = (statistics.mean(ms(values)) for values in (starts.with_agent, starts.bare, starts.idle))
    row("the pod's create request → the connector's first line, mean", agent)
    row("the same, p50", statistics.median(ms(starts.with_agent)))
    row(f"the same pod without the agent, mean of {len(starts.bare)}", bare)
    row(f"the same pod with a sidecar that does nothing, mean of {len(starts.idle)}", idle)
    row("what the agent adds", agent - bare, 600)
    row("what a sidecar that does nothing adds", idle - bare)
    row("what the agent adds to that", agent - idle)
    row("from the agent's leave to the kubelet's next look at the pod, mean", statistics.mean(ms(starts.waits)))
    by_news, by_exit = map(ms, end_delays(bench, done))
    row("the later of the watch's event of the end and the final record → the task's status, p50", statistics.median(by_news), digits=1)
    row("the same, p99", percentile(by_news, 99), 100, digits=1)
    row("the same, most", max(by_news), digits=1)
    row("the connector's exit → the task's status, p50", statistics.median(by_exit), 1500)
    row("the same, p95", percentile(by_exit, 95))


def state_runs(bench):
    delays, middle, peak = states(bench, STATE_RUNS)
    delays = ms(delays)
    row(f"a state is written in the pod → it is committed, p50 of {len(delays)}", statistics.median(delays), digits=1)
    row("the same, p99", percentile(delays, 99), 200, digits=1)
    row("the same, most", max(delays), digits=1)
    row("a small commit of this PostgreSQL, p50", bench.database.commit_ms(), digits=2)
    row("resident memory of the agent in the middle of a sync", statistics.median(middle), unit="MB", digits=1)
    row("the same, peak", max(peak), unit="MB", digits=1)


def crowd_run(bench):
    bench.prepare_crowd()
    crowd = Crowd(bench, CROWD)
    row("resident memory of a worker without pods", crowd.alone, unit="MB", digits=1)
    crowd.gather()
    (now, most), share = crowd.measure()
    row(f"the same with {CROWD:,} running pods", now, 200, unit="MB", digits=1)
    row("the same, peak", most, 200, unit="MB", digits=1)
    row("its share of a core while they are quiet", 100 * share, 5, unit="%", digits=2)
    (now, most), share = crowd.measure_with_agents()
    row("resident memory when an agent of each waits for the end as well", now, 200, unit="MB", digits=1)
    row("the same, peak", most, 200, unit="MB", digits=1)
    row("its share of a core then", 100 * share, 5, unit="%", digits=2)


def main():
    bench = Bench(tempfile.mkdtemp(prefix="olake-bench-"))
    bench.install()
    print(f"## Kubernetes: commit {commit()}\n")
    print(f"{machine()}. Images: {IMAGES}. Two workers, durable PostgreSQL, the sample connector; all on this machine, where "
          "they go before everything else (nice -15).\n")
    print("| what | measured | limit | kept | load |\n|---|---|---|---|---|", flush=True)
    for name, part in (("runs", short_runs), ("states", state_runs), ("crowd", crowd_run)):
        if name in PARTS:
            part(bench)
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
