"""Start latency and idle memory of the control plane.

Latency: from the answer of `POST …/sync` to the start of the connector's process, one sync at a time on an idle system. The
connector is a bash script whose first act is to note the time, so that the start of bash (about 1 ms) counts too.

Usage: bench.py FOLDER_OF_PROGRAMS WORK_FOLDER; OLAKE_TEST_POSTGRES_URL and OLAKE_TEST_REDIS_URL name the servers.
"""

import http.client
import json
import os
import platform
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time

ROUNDS = 100
PROJECT = "/api/v1/project/123"
LIMIT_MS = 10.0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(round(p / 100 * (len(values) - 1))))]


def rss_mb(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def spare_mb(pid):
    """Private memory of the supervisor that waits for the next run below a worker."""
    threads = os.listdir(f"/proc/{pid}/task")
    children = " ".join(open(f"/proc/{pid}/task/{thread}/children").read() for thread in threads).split()
    found = 0
    for child in children:
        with open(f"/proc/{child}/smaps_rollup") as f:
            found += sum(int(line.split()[1]) for line in f if line.startswith("Private")) / 1024
    return found


class Client:
    """One kept-alive connection with a session."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.token = None

    def call(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        answered = time.time()
        data = json.loads(text)
        if not data.get("success", True):
            raise RuntimeError(f"{method} {path}: {answer.status} {data}")
        return data.get("data"), answered


def wait_ready(port):
    deadline = time.time() + 30
    while time.time() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError("not ready in 30 s")


def connector(folder):
    """A connector whose first act is to note the time, and its table."""
    starts = os.path.join(folder, "starts")
    program = os.path.join(folder, "connector")
    with open(program, "w") as f:
        f.write(f'#!/bin/bash\necho "$EPOCHREALTIME" >> {starts}\n')
    os.chmod(program, 0o755)
    table = os.path.join(folder, "connectors.toml")
    with open(table, "w") as f:
        f.write(f'[[connector]]\ntype = "files"\nversions = ["v0.9.4"]\ncommand = ["{program}"]\ndestinations = ["parquet"]\n')
    open(starts, "w").close()
    return table, starts


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OLAKE_")}
    return {**kept, "OLAKE_ADMIN_USERNAME": "bench", "OLAKE_ADMIN_PASSWORD": "bench bench", "OLAKE_LOG_FILTER": "warn", **more}


def latencies(port, starts):
    client = Client(port)
    session, _ = client.call("POST", "/login", {"username": "bench", "password": "bench bench"})
    client.token = session["token"]
    deadline = time.time() + 30
    while True:
        try:
            job, _ = client.call("POST", f"{PROJECT}/jobs", {
                "name": "bench", "frequency": "0 0 1 1 *", "streams_config": {"streams": [], "selected_streams": {}},
                "source": {"name": "s", "type": "files", "version": "v0.9.4", "config": {"path": "/"}},
                "destination": {"name": "d", "type": "parquet", "version": "v0.9.4", "config": {"writer": {}}},
            })
            break
        except RuntimeError:
            if time.time() > deadline:
                raise
            time.sleep(0.1)
    found = []
    for n in range(ROUNDS + 5):
        _, answered = client.call("POST", f"{PROJECT}/jobs/{job['id']}/sync")
        while True:
            with open(starts) as f:
                lines = f.read().splitlines()
            if len(lines) > n:
                break
            time.sleep(0.001)
        found.append((float(lines[n]) - answered) * 1000)
        while True:
            tasks, _ = client.call("GET", f"{PROJECT}/jobs/{job['id']}/tasks?limit=1")
            if tasks[0]["status"] not in ("queued", "running"):
                break
            time.sleep(0.005)
        # Idle again: every loop of the worker has come to rest.
        time.sleep(0.05)
    return found[5:]


def report(name, found):
    print(f"| {name} | {statistics.median(found):.1f} | {percentile(found, 95):.1f} | {max(found):.1f} | "
          f"{statistics.median(found) / LIMIT_MS:.2f} |")


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(30)


def standalone(programs, folder):
    os.makedirs(folder)
    table, starts = connector(folder)
    port = free_port()
    process = subprocess.Popen(
        [f"{programs}/olake", "standalone", "--listen", f"localhost:{port}", "--data-dir", f"{folder}/data"],
        env=environment(OLAKE_CONNECTORS=table), stdout=subprocess.DEVNULL)
    try:
        wait_ready(port)
        time.sleep(5)
        fresh = rss_mb(process.pid)
        found = latencies(port, starts)
        time.sleep(5)
        return fresh, rss_mb(process.pid), found, spare_mb(process.pid)
    finally:
        stop(process)


def services(programs, folder):
    os.makedirs(folder)
    table, starts = connector(folder)
    port, health = free_port(), free_port()
    env = environment(
        OLAKE_DATABASE_URL=os.environ["OLAKE_TEST_POSTGRES_URL"], OLAKE_REDIS_URL=os.environ["OLAKE_TEST_REDIS_URL"],
        OLAKE_MASTER_KEY="a master key for the bench", OLAKE_CONNECTORS=table, OLAKE_DATA_DIR=f"{folder}/data",
        OLAKE_WORKER_LISTEN=f"localhost:{health}")
    subprocess.run([f"{programs}/olake-api", "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
    api = subprocess.Popen([f"{programs}/olake-api", "serve", "--listen", f"localhost:{port}"], env=env, stdout=subprocess.DEVNULL)
    worker = subprocess.Popen([f"{programs}/olake-worker", "run"], env=env, stdout=subprocess.DEVNULL)
    try:
        wait_ready(port)
        wait_ready(health)
        time.sleep(5)
        fresh = rss_mb(api.pid), rss_mb(worker.pid)
        found = latencies(port, starts)
        time.sleep(5)
        return fresh, (rss_mb(api.pid), rss_mb(worker.pid)), found, spare_mb(worker.pid)
    finally:
        stop(api)
        stop(worker)


def commit_ms(folder, synchronous):
    """The median of one small commit on this disk, in ms."""
    path = os.path.join(folder, f"sync-{synchronous}.db")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    db.execute("CREATE TABLE t (v TEXT)")
    times = []
    for _ in range(300):
        start = time.perf_counter()
        db.execute("INSERT INTO t VALUES ('x')")
        times.append((time.perf_counter() - start) * 1000)
    db.close()
    return statistics.median(times)


def spawn_ms(folder):
    """The median start of the bench's connector alone, in ms: what no control plane can be faster than."""
    _, starts = connector(folder)
    times = []
    for n in range(50):
        start = time.time()
        subprocess.run([os.path.join(folder, "connector")], check=True)
        with open(starts) as f:
            times.append((float(f.read().splitlines()[n]) - start) * 1000)
    return statistics.median(times)


def main():
    programs, folder = sys.argv[1:3]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    with open("/proc/cpuinfo") as f:
        cpu = next(line.split(":", 1)[1].strip() for line in f if line.startswith("model name"))
    one = standalone(programs, os.path.join(folder, "standalone"))
    many = services(programs, os.path.join(folder, "services"))
    alone = os.path.join(folder, "alone")
    os.makedirs(alone)
    print(f"## {time.strftime('%Y-%m-%d')}, commit {commit}\n")
    print(f"{os.cpu_count()} cores of {cpu}, {platform.system()} {platform.release()}, release build, load generator on the same machine.\n")
    print(f"From the answer of `POST …/sync` to the connector's start, {ROUNDS} syncs one at a time, ms (limit: p50 {LIMIT_MS:.0f}):\n")
    print("| deployment | p50 | p95 | max | p50 / limit |\n|---|---|---|---|---|")
    report("one machine (SQLite, synchronous FULL)", one[2])
    report("services (PostgreSQL with fsync, Redis)", many[2])
    print(f"\nThe connector's own start (bash) takes {spawn_ms(alone):.1f} ms of it. A commit of SQLite on this disk takes "
          f"{commit_ms(alone, 'FULL'):.2f} ms with synchronous FULL and {commit_ms(alone, 'NORMAL'):.2f} ms with NORMAL.\n")
    print("Resident memory, MB:\n\n| process | idle after start | idle after the syncs | limit |\n|---|---|---|---|")
    print(f"| olake standalone | {one[0]:.1f} | {one[1]:.1f} | 40 |")
    print(f"| olake-api | {many[0][0]:.1f} | {many[1][0]:.1f} | 30 |")
    print(f"| olake-worker | {many[0][1]:.1f} | {many[1][1]:.1f} | 30 |")
    print(f"\nThe supervisor that waits for the next run beside a worker takes {one[3]:.1f} MB (`olake`) and {many[3]:.1f} MB (`olake-worker`) more that nobody shares.")


if __name__ == "__main__":
    main()
