"""Much of everything."""

import copy
import json
import re
from concurrent.futures import ThreadPoolExecutor

import jobs
from jobs import ROWS, STREAM, Job
from scenario import equal, expect, scenario

PODS, AT_A_TIME = 200, 10
CHUNKS, STREAMS = 20_000, 5_000
# A numbered line of the log file has so many bytes beside its number.
LOG_LINES, LOG_LINE_BYTES = 1_600_000, 65


@scenario()
def two_hundred_pods_ten_at_a_time_leave_nothing_behind(world):
    several = [Job(world, "many") for _ in range(AT_A_TIME)]
    tasks = []

    def run(job):
        for _ in range(PODS // AT_A_TIME):
            task = job.sync()
            tasks.append(task)
            task.wait_for_end(seconds=300)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(run, several))
    equal(len(tasks), PODS, "tasks")
    twice = [task.id for task in tasks if len(task.pods()) != 1]
    equal(twice, [], "tasks with more or less than one pod")
    world.wait_for_nothing_left()


@scenario()
def a_state_of_three_megabytes_comes_back_to_the_digit(world):
    job = Job(world, "big state")
    # Numbers that no float holds, as the ends of chunks are.
    chunks = [{"min": 2**53 + 2 * n + 1, "max": 2**63 - 1 - n, "done": False, "at": "x" * 80} for n in range(CHUNKS)]
    other = {"stream": "orders", "namespace": "public", "sync_mode": "", "state": {"chunks": chunks}}
    text = json.dumps({"type": "STREAM", "version": 7, "streams": [other]}, separators=(",", ":"))
    expect(len(text) > 3_000_000, f"the state has {len(text)} bytes only")
    job.put_state(text)
    job.sync().wait_for_end()
    state = job.state()
    equal(job.cursor(), ROWS, "the cursor after it")
    kept = next(entry for entry in json.loads(state)["streams"] if entry["stream"] == "orders")
    expect(kept == other, "the other stream's chunks have changed")
    expect(str(2**63 - 1) in state and str(2**53 + 1) in state, "big numbers have lost digits")
    job.expect_next_sync_goes_on()


@scenario()
def a_catalog_of_five_thousand_streams_reaches_the_connector(world):
    catalog = copy.deepcopy(world.catalog())
    pattern = next(entry for entry in catalog["streams"] if entry["stream"]["name"] == STREAM)
    for number in range(STREAMS):
        entry = copy.deepcopy(pattern)
        entry["stream"]["name"] = f"table_{number:04}"
        catalog["streams"].append(entry)
    size = len(json.dumps(catalog))
    expect(size > 1_000_000, f"the catalog has {size} bytes only")
    job = Job(world, "big catalog", catalog=catalog)
    ended = job.sync().wait_for_end()
    equal(ended["records_read"], ROWS, "rows")
    job.expect_next_sync_goes_on()


@scenario()
def a_hundred_megabytes_of_log_arrive_once(world):
    job = Job(world, "much log", {"log_lines": LOG_LINES}, settings={"max_memory": "512Mi"})
    task = job.sync()
    task.wait_for_end(seconds=1200)
    expected, size = 1, 0
    for message in task.messages():
        match = re.fullmatch(r"line (\d+)", message)
        if match:
            equal(int(match[1]), expected, "the number of the next line")
            expected += 1
            size += LOG_LINE_BYTES + len(match[1])
    equal(expected - 1, LOG_LINES, "numbered lines")
    expect(size > 100_000_000, f"the log had {size} bytes only")
    task.expect_nothing_left()
    job.expect_next_sync_goes_on()
