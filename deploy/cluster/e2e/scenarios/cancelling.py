"""A cancel in each phase of a task."""

from jobs import Job
from registry import SLOW
from scenario import equal, expect, scenario, until
from world import WORKERS


@scenario(ci=True)
def a_cancel_before_the_pod_exists_ends_the_task_at_once(world):
    world.scale_workers(0)
    try:
        job = Job(world, "no worker")
        task = job.sync()
        job.cancel()
        equal(task.status(), "cancelled", "the status right after the cancel")
    finally:
        world.scale_workers(WORKERS)
    job.sync().wait_for_end()
    equal(task.pods(), [], "pods of the cancelled task")


@scenario(ci=True)
def a_cancel_while_the_pod_waits_for_a_node_ends_the_task_at_once(world):
    job = Job(world, "no node", settings={"profile": "nowhere"})
    task = job.sync()
    until("the task has no pod", task.pods, 60)
    task.wait_for_phase("scheduling")
    job.cancel()
    task.wait_for_end("cancelled", seconds=10)
    until("the pod is left", lambda: task.pods()[0].is_gone, 60)


@scenario(ci=True)
def a_cancel_while_the_image_is_pulled_ends_the_task_at_once(world):
    job = Job(world, "pulling", version=SLOW)
    task = job.sync()
    task.wait_for_phase("pulling")
    job.cancel()
    task.wait_for_end("cancelled", seconds=10)
    world.registry.let_go()
    until("the pod is left", lambda: task.pods()[0].is_gone, 60)


@scenario(ci=True)
def a_cancel_while_the_connector_runs_ends_it_and_keeps_its_last_state(world):
    job = Job(world, "running", {"take_seconds": 120})
    task = job.sync_in_its_midst()
    job.cancel()
    task.wait_for_end("cancelled", seconds=60)
    state = job.cursor()
    expect(0 < state, "the state is gone")
    # The connector stops between two batches, and tells of each when its state is written.
    batches = sum("finished chunk" in message for message in task.messages())
    expect(abs(state - 200 * batches) <= 200, f"the state is at {state} after {batches} batches of 200 rows")
    until("the pod is left", lambda: task.pods()[0].is_gone, 60)
