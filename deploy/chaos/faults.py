"""What is done to the system, and how long it takes until it works again.

To add a kind: a method of `Faults` that does it and puts it right again, and its name in KINDS.
"""

import signal
import time

from servers import wait_for
from system import LEASE, Refused, descends, parents

# The longest that a recovery is waited for, in seconds.
PATIENCE = 90

KINDS = (
    "kill_worker", "terminate_worker", "pause_worker",
    "kill_api", "terminate_api", "pause_api",
    "flush_redis", "restart_redis", "cut_redis",
    "restart_postgres", "cut_postgres",
)


class Faults:
    """Does one thing after another to a system, and measures."""

    def __init__(self, system, load, servers, proxies, random, fence_is_broken):
        self.system, self.load, self.servers, self.random = system, load, servers, random
        self.to_postgres, self.to_redis = proxies
        self.fence_is_broken = fence_is_broken
        # For each kind, the recovery times in seconds.
        self.recoveries = {kind: [] for kind in KINDS}

    def run(self, kind):
        """One fault. It is put right again in any case; then its recovery is waited for."""
        worker = self.random.choice(self.system.workers)
        affected = self._affected(worker) if kind.endswith("_worker") else []
        begin = time.time()
        getattr(self, kind)(worker)
        self._recovered(begin, affected)
        self.recoveries[kind].append(time.time() - begin)

    # Workers.

    def kill_worker(self, worker):
        worker.end(signal.SIGKILL)
        time.sleep(self.random.uniform(0, 1.5 * LEASE))
        worker.start()

    def terminate_worker(self, worker):
        worker.end(signal.SIGTERM)
        worker.start()

    def pause_worker(self, worker):
        """Longer than its lease, in the middle of whatever it does; then it comes back."""
        if self.fence_is_broken:
            wait_for("connectors of the worker", lambda: self._affected(worker), PATIENCE)
        worker.send(signal.SIGSTOP)
        # The lease, the grace of those who look at it, and their look: by then another worker has begun to take over.
        time.sleep(LEASE + self.random.uniform(1.5, 4))
        if self.fence_is_broken:
            wait_for("two connectors at once", lambda: any(job.story().overlaps for job in self.load.jobs), PATIENCE)
        worker.send(signal.SIGCONT)

    # The API.

    def kill_api(self, _worker):
        self.system.api.end(signal.SIGKILL)
        time.sleep(self.random.uniform(0, 1))
        self.system.api.start()

    def terminate_api(self, _worker):
        self.system.api.end(signal.SIGTERM)
        self.system.api.start()

    def pause_api(self, _worker):
        self.system.api.send(signal.SIGSTOP)
        time.sleep(self.random.uniform(1, 3))
        self.system.api.send(signal.SIGCONT)

    # The servers, and the ways to them.

    def flush_redis(self, _worker):
        self.servers.flush_redis()

    def restart_redis(self, _worker):
        self.servers.restart_redis(self.random.uniform(0, 2))

    def restart_postgres(self, _worker):
        self.servers.restart_postgres()

    def cut_redis(self, _worker):
        self._cut(self.to_redis)

    def cut_postgres(self, _worker):
        self._cut(self.to_postgres)

    def _cut(self, proxy):
        """Once or several times in a row, or for a while: each time in the middle of something else."""
        if self.random.random() < 0.5:
            for _ in range(self.random.randint(1, 5)):
                proxy.cut()
                time.sleep(self.random.uniform(0.05, 0.5))
        else:
            proxy.break_down()
            time.sleep(self.random.uniform(1, 1.5 * LEASE))
            proxy.restore()

    # Recovery.

    def _affected(self, worker):
        """The jobs whose connectors run below a worker."""
        parent_of = parents()
        jobs = []
        for job in self.load.jobs:
            runs = job.story().runs if job.running else []
            if runs and runs[-1].end is None and descends(runs[-1].pid, worker.pid, parent_of):
                jobs.append(job)
        return jobs

    def _recovered(self, begin, affected):
        """Until a sync that is asked for now is acknowledged and has ended well, and the jobs of the worker that was hit
        have run on to an end or begun again."""
        canary = self.load.canary
        def asked():
            try:
                tasks = canary.tasks()
            except Refused:
                return False
            return (not tasks or canary.look()) and canary.ask()
        wait_for("a sync to be acknowledged", asked, PATIENCE)
        since = canary.acknowledged[-1]
        wait_for("a sync to end", lambda: canary.story().succeeded_between(since, float("inf")), PATIENCE)
        for job in affected:
            def goes_on(job=job):
                last = job.story().runs[-1]
                return last.at > begin or last.end == 0
            wait_for(f"{job.key} to go on", goes_on, PATIENCE)
