"""Lists, logs and downloads of the API over PostgreSQL, each against its limit.

Rows are made by SQL, from one source, destination, job and run that the API has made. Throughput is measured by wrk with 32
connections; latency at a fixed rate by this script, from the moment when a request was due.

Usage: lists.py FOLDER_OF_PROGRAMS WORK_FOLDER; OLAKE_TEST_POSTGRES_URL names the server. Needs psql, wrk and zstd.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time

from bench import Client, environment, free_port, percentile, rss_mb, stop, wait_ready

PROJECT = "/api/v1/project/123"
SECONDS = int(os.environ.get("OLAKE_BENCH_SECONDS", "5"))
TASKS = int(os.environ.get("OLAKE_BENCH_TASKS", "1000000"))
LOG_MB = int(os.environ.get("OLAKE_BENCH_LOG_MB", "1024"))
MEMORY_MB = 150
rows = []


def report(what, value, limit, unit, most=False):
    """A row of the table. `most`: the limit is an upper one."""
    good = value <= limit if most else value >= limit
    rows.append(good)
    print(f"| {what} | {value:,.1f} {unit} | {'≤' if most else '≥'} {limit:,} {unit} | {'yes' if good else '**no**'} |", flush=True)


def sql(url, text):
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url], input=text, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout.strip()


def wrk(port, path, headers):
    command = ["wrk", "-t", "1", "-c", "32", "-d", f"{SECONDS}s", "--timeout", "30s"]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    text = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
    if "Non-2xx or 3xx" in text or "Socket errors" in text:
        raise RuntimeError(f"{path}: {text}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1))


async def one(pool, port, path, headers):
    reader, writer = await pool.get()
    try:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{lines}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(length.group(1)))
        if status != 200:
            raise RuntimeError(f"{path}: {status}")
    finally:
        pool.put_nowait((reader, writer))


async def rated(port, paths, rate, seconds, headers):
    """Latencies in ms of `rate` requests a second, due at even times, whether or not the ones before have ended."""
    pool = asyncio.Queue()
    for _ in range(32):
        pool.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    found = []
    start = time.perf_counter() + 0.1

    async def due(n):
        at = start + n / rate
        await asyncio.sleep(at - time.perf_counter())
        await one(pool, port, paths[n % len(paths)], headers)
        found.append((time.perf_counter() - at) * 1000)

    await asyncio.gather(*(due(n) for n in range(int(rate * seconds))))
    return found


def peak(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith("VmHWM"))


def forget_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")


def clone_jobs(url, count, per_source):
    """So many jobs, as copies of the first; `per_source` of them share a source."""
    sql(url, f"""
        DELETE FROM tasks WHERE job_id > 1; DELETE FROM jobs WHERE id > 1; DELETE FROM sources WHERE id > 1;
        INSERT INTO sources (project_id, name, type, version, seal_id, config, revision, created_at, updated_at, created_by, updated_by)
          SELECT project_id, 'source ' || n, type, version, seal_id, config, 1, created_at + n, updated_at + n, created_by, updated_by
          FROM sources, generate_series(2, {max(2, count // per_source)}) n WHERE id = 1;
        INSERT INTO jobs (project_id, name, source_id, destination_id, frequency, streams_config, activate, advanced_settings,
            next_run_at, revision, last_task_id, last_run_time, last_run_state, last_run_type, created_at, updated_at, created_by, updated_by)
          SELECT j.project_id, 'job ' || n, s.id, j.destination_id, j.frequency, j.streams_config, j.activate, j.advanced_settings,
            j.next_run_at, 1, gen_random_uuid(), j.created_at + n, 'succeeded', 'sync', j.created_at + n, j.updated_at + n, j.created_by, j.updated_by
          FROM generate_series(1, {count - 1}) n JOIN jobs j ON j.id = 1
          JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS all FROM sources) s ON s.place = n % s.all;
        VACUUM ANALYZE jobs; VACUUM ANALYZE sources; VACUUM list_revisions;""")


def make_tasks(url, count):
    """Runs that have ended: 1,000 of the first job, the others spread over all jobs."""
    sql(url, f"""
        INSERT INTO tasks (id, project_id, job_id, kind, place_class, trigger_kind, status, attempt, epoch, state_sequence, log_sequence,
            log_lines, created_at, started_at, ended_at)
          SELECT gen_random_uuid(), '123', CASE WHEN n <= 1000 THEN 1 ELSE ids.id END, 'sync', 'sync', 'schedule', 'succeeded', 1, 1, 0, 0, 0,
            n * 1000000::bigint, n * 1000000::bigint, (n + 5) * 1000000::bigint
          FROM generate_series(1, {count}) n
          JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS all FROM jobs WHERE id > 1) ids
          ON ids.place = n % ids.all;
        VACUUM ANALYZE tasks;""")


def make_log(url, folder, megabytes):
    """A run of the first job with so long a log. Answers its id and its lines."""
    task = sql(url, "SELECT id FROM tasks WHERE job_id = 1 ORDER BY id DESC LIMIT 1")
    lines = [json.dumps({"level": ("info", "debug", "warn")[n % 3], "time": "2026-01-02T03:04:05.123456Z",
                         "message": f"Thread[{n % 7}] wrote batch {n * 7919 % 100003} of stream public.orders with {n * 31} rows in {n % 977} ms"}) for n in range(1500)]
    text = "".join(line + "\n" for line in lines).encode()
    plain = os.path.join(folder, "chunk")
    with open(plain, "wb") as f:
        f.write(text)
    packed = subprocess.run(["zstd", "-q", "-3", "-c", plain], capture_output=True, check=True).stdout
    chunks = megabytes * 1024 * 1024 // len(text) + 1
    visible = sum(1 for line in lines if '"debug"' not in line)
    sql(url, f"""
        INSERT INTO task_log_chunks (task_id, sequence, attempt, first_line, lines, visible_lines, first_time, last_time, raw_bytes, data)
          SELECT '{task}', n, 1, n * {len(lines)}, {len(lines)}, {visible}, n, n, {len(text)}, '\\x{packed.hex()}'::bytea
          FROM generate_series(0, {chunks - 1}) n;
        UPDATE tasks SET log_sequence = {chunks}, log_lines = {chunks * len(lines)} WHERE id = '{task}';
        VACUUM ANALYZE task_log_chunks;""")
    return task, chunks * len(lines)


def first_byte(port, path, headers, megabytes):
    """Milliseconds to the first byte of an answer, of which so many megabytes are then read."""
    import socket
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection(("127.0.0.1", port)) as s:
        start = time.perf_counter()
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n{lines}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head or head.endswith(b"\r\n\r\n"):
            head += s.recv(1 << 16)
        waited = (time.perf_counter() - start) * 1000
        if b" 200 " not in head.split(b"\r\n", 1)[0]:
            raise RuntimeError(head[:300])
        read = len(head)
        while read < megabytes * 1024 * 1024:
            part = s.recv(1 << 20)
            if not part:
                break
            read += len(part)
    return waited, read


def lists(port, pid, url, native, ui):
    for count, limit in ((1000, 200), (10000, 30)):
        clone_jobs(url, count, 10)
        report(f"`GET P/jobs`, {count:,} jobs, the UI's form", wrk(port, f"{PROJECT}/jobs", ui), limit, "/s")
        tag = etag(port, f"{PROJECT}/jobs", ui)
        report(f"the same, unchanged (`If-None-Match`), {count:,} jobs", wrk(port, f"{PROJECT}/jobs", {**ui, "If-None-Match": tag}), 3000, "/s")
    make_tasks(url, TASKS)
    paths = [f"{PROJECT}/jobs?limit=50"]
    for _ in range(20):
        paths.append(next_page(port, paths[-1], ui))
    found = asyncio.run(rated(port, paths, 300, SECONDS, ui))
    report(f"a page of 50 of 10,000 jobs with {TASKS:,} tasks at 300/s, p99", percentile(found, 99), 30, "ms", most=True)
    found = asyncio.run(rated(port, [f"{PROJECT}/jobs/1/tasks"], 20, SECONDS, native))
    report("the tasks of a job with 1,000 runs at 20/s, p99", percentile(found, 99), 30, "ms", most=True)
    clone_jobs(url, 5000, 5)
    report("`GET P/sources`, 1,000 sources of 5 jobs each", wrk(port, f"{PROJECT}/sources", ui), 100, "/s")
    report("memory of the API in all of this, at most", peak(pid), MEMORY_MB, "MB", most=True)


def ask(port, path, headers):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer


def etag(port, path, headers):
    return ask(port, path, headers).getheader("ETag")


def next_page(port, path, headers):
    return re.match(r"<([^>]+)>", ask(port, path, headers).getheader("Link")).group(1)


def logs(port, pid, url, folder, native):
    task, count = make_log(url, folder, LOG_MB)
    page = f"{PROJECT}/jobs/1/task/{task}/logs?limit=1000&cursor="
    found = asyncio.run(rated(port, [f"{page}{count // 2 + n * 997}" for n in range(50)], 5, 10, native))
    report(f"a page in the middle of a log of {LOG_MB:,} MB at 5/s, p95", percentile(found, 95), 100, "ms", most=True)
    forget_peak(pid)
    before = rss_mb(pid)
    download = f"{PROJECT}/jobs/1/logs/download?file_path={task}"
    waits = [first_byte(port, download, native, 0)[0] for _ in range(20)]
    report("the first byte of its download, p95", percentile(waits, 95), 200, "ms", most=True)
    start = time.perf_counter()
    _, read = first_byte(port, download, native, 1 << 20)
    print(f"| the whole download ({read / 1048576:,.0f} MB packed) | {time.perf_counter() - start:,.1f} s | | |")
    report("what the API's memory grew by", peak(pid) - before, 32, "MB", most=True)


def main():
    programs, folder = sys.argv[1:3]
    folder = os.path.join(folder, "lists")
    os.makedirs(folder, exist_ok=True)
    server = os.environ["OLAKE_TEST_POSTGRES_URL"]
    sql(server, "DROP DATABASE IF EXISTS olake_bench_lists WITH (FORCE)")
    sql(server, "CREATE DATABASE olake_bench_lists")
    url = server.rsplit("/", 1)[0] + "/olake_bench_lists"
    port = free_port()
    env = environment(OLAKE_DATABASE_URL=url, OLAKE_REDIS_URL=os.environ["OLAKE_TEST_REDIS_URL"], OLAKE_MASTER_KEY="a master key for the bench")
    subprocess.run([f"{programs}/olake-api", "migrate"], env=env, check=True, stdout=subprocess.DEVNULL)
    api = subprocess.Popen([f"{programs}/olake-api", "serve", "--listen", f"localhost:{port}"], env=env, stdout=subprocess.DEVNULL)
    try:
        wait_ready(port)
        client = Client(port)
        session, _ = client.call("POST", "/login", {"username": "bench", "password": "bench bench"})
        client.token = session["token"]
        config = {"host": "localhost", "port": 5432, "database": "shop", "username": "olake", "password": "secret", "ssl": {"mode": "disable"}}
        client.call("POST", f"{PROJECT}/jobs", {
            "name": "job", "frequency": "0 1 * * *", "streams_config": {"streams": [], "selected_streams": {}},
            "source": {"name": "source", "type": "postgres", "version": "v0.9.4", "config": config},
            "destination": {"name": "destination", "type": "parquet", "version": "v0.9.4", "config": {"writer": {"local_path": "/data"}}},
        })
        native = {"Authorization": f"Bearer {client.token}"}
        ui = {"Authorization": "Bearer authenticated", "Cookie": f"olake-session={client.token}"}
        print(f"Lists and logs over PostgreSQL, {os.cpu_count()} cores, the load generator on the same machine:\n")
        print("| what | measured | limit | kept |\n|---|---|---|---|")
        lists(port, api.pid, url, native, ui)
        logs(port, api.pid, url, folder, native)
    finally:
        stop(api)
        sql(server, "DROP DATABASE IF EXISTS olake_bench_lists WITH (FORCE)")
    if not all(rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
