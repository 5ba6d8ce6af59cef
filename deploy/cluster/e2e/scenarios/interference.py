"""What others do to the cluster and to our pods."""

import os
import subprocess
import time

from chart import CONNECTORS, HERE
from injection import Injection
from jobs import ROWS, Job
from scenario import equal, expect, scenario, until

CLUSTER = os.path.join(HERE, "../cluster.sh")


@scenario()
def a_sidecar_that_never_ends_does_not_hold_up_the_end(world):
    with Injection(world.kubectl, CONNECTORS, world.folder):
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
    until("the pod is left", lambda: pod.is_gone, 240)


@scenario()
def a_minute_without_the_api_server_fails_nothing(world):
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
        equal(task.wait_for_end(seconds=180)["attempt"], 1, f"attempts of task {task.id}")
    tasks[0].expect_every_line_once(lines)
    for one in (job, short, late):
        equal(one.cursor(), ROWS, "the cursor of the state")
