"""Workers that die or stop while a connector runs: its pod goes on, and whoever is up takes it over."""

import time

from jobs import ROWS, Job
from scenario import equal, expect, scenario, until
from world import WORKERS

SECONDS, PER_SECOND = 20, 20


def running(world, name, seconds=SECONDS):
    """A sync of so many seconds, in its midst; with its job, its pod and how many numbered lines it will have."""
    lines = seconds * PER_SECOND
    job = Job(world, name, {"take_seconds": seconds, "log_lines": lines, "log_lines_per_second": PER_SECOND})
    task = job.sync()
    task.wait_for_phase("running")
    task.wait_for_lines(3 * PER_SECOND)
    pods = task.pods()
    equal(len(pods), 1, "pods of the task")
    return job, task, pods[0], lines


def expect_adopted(job, task, pod, lines, seconds=120):
    """One pod, one attempt, every line once, the last state."""
    ended = task.wait_for_end(seconds=seconds)
    equal([one.uid for one in task.pods()], [pod.uid], "the pods of the task")
    equal(ended["attempt"], 1, "attempts")
    equal(ended["exit_code"], 0, "the exit code")
    equal(ended["records_read"], ROWS, "rows")
    task.expect_every_line_once(lines)
    equal(job.cursor(), ROWS, "the cursor of the state")
    task.expect_nothing_left()
    job.expect_next_sync_goes_on()


@scenario(ci=True)
def a_pod_is_adopted_when_all_workers_are_killed(world):
    job, task, pod, lines = running(world, "killed")
    equal(world.kill_workers(), WORKERS, "workers that were killed")
    expect_adopted(job, task, pod, lines)
    world.wait_for_workers()


@scenario(ci=True)
def a_pod_is_adopted_when_its_workers_are_replaced(world):
    job, task, pod, lines = running(world, "replaced")
    world.kubectl.run("rollout", "restart", "deployment/olake-worker", "--namespace", "olake")
    world.kubectl.run("rollout", "status", "deployment/olake-worker", "--namespace", "olake", "--timeout", "120s")
    expect_adopted(job, task, pod, lines)


def ends_without_worker(world, name, away):
    """A sync that ends while no worker is up, which is so for `away` seconds at least."""
    job, task, pod, lines = running(world, name)
    world.scale_workers(0)
    begin = time.monotonic()
    try:
        until("the connector has not ended", lambda: "terminated" in pod.connector_state(), SECONDS + 60)
        expect(not pod.is_gone, "the pod went without a worker")
        time.sleep(max(0, away - (time.monotonic() - begin)))
        expect(not pod.is_gone, "the pod went without a worker")
    finally:
        world.scale_workers(WORKERS)
    expect_adopted(job, task, pod, lines)


@scenario()
def a_sync_that_ends_while_no_worker_is_up_is_completed_afterwards(world):
    ends_without_worker(world, "alone", 0)


@scenario()
def ten_minutes_without_any_worker_lose_nothing(world):
    ends_without_worker(world, "long alone", 600)
