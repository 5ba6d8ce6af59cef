"""The proof that nothing is lost, doubled or left behind, whatever is killed, paused or cut off.

A real PostgreSQL, a real Redis, one API, three workers, hundreds of jobs of the sample connector; faults of every kind, one
after another, in an order that the seed gives. Counts come from the connectors' witnesses (witness.py), which know nothing
of the system. Exit code 0: every count is 0, and enough has happened. See run.sh for how to start it.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time

import report
from faults import KINDS, Faults
from load import Load
from proxy import Proxy
from servers import ROOT, Servers, wait_for
from system import System

# What a run must have seen at least.
SYNCS, TIMES = 300, 3


def arguments():
    parser = argparse.ArgumentParser(prog="deploy/chaos/run.sh", description=__doc__)
    parser.add_argument("--syncs", type=int, default=SYNCS, help=f"acknowledged syncs at least ({SYNCS})")
    parser.add_argument("--times", type=int, default=TIMES, help=f"faults of each kind at least ({TIMES})")
    parser.add_argument("--seconds", type=float, default=0, help="how long at least, however much has happened")
    parser.add_argument("--seed", type=int, help="the order of the faults; a new one each time if it is not given")
    parser.add_argument("--jobs", type=int, default=SYNCS, help=f"jobs ({SYNCS})")
    parser.add_argument("--sync-seconds", type=float, default=4, help="how long each sync takes (4)")
    parser.add_argument("--only", action="append", choices=KINDS, help="only this kind of fault; may be given again")
    parser.add_argument("--break-fence", action="store_true",
                        help="lets connectors start without their guard (debug builds): must be red. Pauses then last "
                             "until the guard is missed; syncs of 30 seconds and more make sure of it")
    parser.add_argument("--results", metavar="FILE", help="append the report to this file")
    parser.add_argument("--programs", default=os.path.join(ROOT, "target/debug"), help="the folder of the built programs")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs and witnesses")
    return parser.parse_args()


def say(text):
    print(text, flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def main():
    wanted = arguments()
    # As Ctrl-C does: everything that was started is ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seed = wanted.seed if wanted.seed is not None else random.SystemRandom().randrange(1 << 32)
    say(f"chaos: seed {seed}")
    folder = tempfile.mkdtemp(prefix="olake-chaos-")
    servers = Servers(os.path.join(folder, "servers"))
    try:
        good = run(wanted, seed, folder, servers)
    finally:
        servers.stop()
        if wanted.keep:
            say(f"chaos: everything is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


def run(wanted, seed, folder, servers):
    # Two streams of chance, so that the faults do not depend on how fast the load goes.
    proxies = (Proxy(servers.postgres_port), Proxy(servers.redis_port))
    extra = {"OLAKE_TEST_BREAK": "fence"} if wanted.break_fence else {}
    system = System(folder, wanted.programs, proxies[0].port, proxies[1].port, servers.postgres_port, free_port(), extra)
    try:
        system.start()
        load = Load(folder, system.client, random.Random(seed + 1))
        load.create(wanted.jobs, wanted.sync_seconds)
        say(f"chaos: {wanted.jobs} jobs were made")
        begin = time.monotonic()
        asking = threading.Thread(target=load.run, daemon=True)
        asking.start()
        faults = Faults(system, load, servers, proxies, random.Random(seed), wanted.break_fence)
        stuck = None
        try:
            inflict(wanted, faults, load, begin, random.Random(seed + 2))
        except TimeoutError as error:
            stuck = error
            say(f"chaos: it does not recover: {error}")
        load.stopping.set()
        asking.join()
        for proxy in proxies:
            proxy.restore()
        system.heal()
        open_jobs = load.quiet(120)
        seconds = time.monotonic() - begin
        try:
            wait_for("attempts' files to be gone", lambda: not system.attempts_left(), 45)
        except TimeoutError:
            pass  # counted below
        files = system.attempts_left()
        states = {int(job): state for job, state in servers.query(
            "SELECT DISTINCT ON (job_id) job_id, state FROM job_states ORDER BY job_id, id DESC")}
        counts = report.count(load, states, open_jobs, files, say)
    finally:
        system.stop()
        left = system.processes_left()
        system.remove_memory()
    counts["processes left"] = len(left)
    text = report.write(load, counts, faults.recoveries, seed, seconds)
    say(text)
    for job in load.jobs:
        for task in job.failures:
            say(f"chaos: {job.key}: {task['status']}, {task.get('failure_class')}: {task.get('failure_message')}")
    if wanted.results:
        with open(wanted.results, "a", encoding="utf-8") as file:
            file.write(text + "\n")
    return verdict(wanted, load, counts, faults, stuck)


def inflict(wanted, faults, load, begin, chance):
    """Faults in bags, each with one of every kind in another order, until enough has happened."""
    kinds = list(wanted.only or KINDS)
    while True:
        chance.shuffle(kinds)
        for kind in kinds:
            time.sleep(chance.uniform(0.2, 1.5))
            started = time.monotonic()
            faults.run(kind)
            say(f"chaos: {time.monotonic() - begin:5.0f} s  {kind:<17} recovered after "
                f"{time.monotonic() - started:4.1f} s; {load.completed} syncs have ended")
        enough = all(len(faults.recoveries[kind]) >= wanted.times for kind in kinds)
        if enough and load.completed >= wanted.syncs and time.monotonic() - begin >= wanted.seconds:
            return


def verdict(wanted, load, counts, faults, stuck):
    wrong = [name for name, number in counts.items() if number]
    for name in wrong:
        say(f"chaos: RED: {name}: {counts[name]}")
    if stuck:
        say(f"chaos: RED: {stuck}")
    syncs = sum(len(job.acknowledged) for job in load.jobs)
    few = [kind for kind in wanted.only or KINDS if len(faults.recoveries[kind]) < wanted.times]
    if syncs < wanted.syncs or few:
        say(f"chaos: RED: too little has happened: {syncs} syncs, too few of {', '.join(few) or 'none'}")
    good = not wrong and not stuck and syncs >= wanted.syncs and not few
    say("chaos: green" if good else "chaos: red")
    return good


if __name__ == "__main__":
    sys.exit(main())
