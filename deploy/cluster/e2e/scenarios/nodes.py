"""A node that is lost: its kubelet tells nothing any more. What runs on it may run on."""

import os
import subprocess

from chart import HERE, NAMESPACE, SELECTORS
from jobs import Job, told
from kubectl import processes
from scenario import equal, expect, scenario, until

CLUSTER = os.path.join(HERE, "../cluster.sh")
NODE = "node"
# The connector's program, as Linux names it.
CONNECTOR = "olake"


@scenario()
def a_task_whose_node_is_lost_shows_that_and_is_ended_by_force(world):
    job = Job(world, "lost", {"take_seconds": 600})
    task = job.sync_in_its_midst()
    pod = task.pods()[0]
    equal(len(processes(pod.first, CONNECTOR)), 1, "processes of the connector")
    service = world.client.host
    subprocess.run([CLUSTER, "kill", "kubelet"], check=True, capture_output=True)
    try:
        # It is the API's node, too: its Service soon leads nowhere.
        world.client.host = world.kubectl.list("pods", NAMESPACE, SELECTORS["api"])[0]["status"]["podIP"]
        task.wait_for_phase("node_unreachable", 120)
        shown = task.show()
        expect(f"the node {NODE} is not heard of" in told(shown), f"its words: {told(shown)}")
        world.client.post(f"/tasks/{task.id}/force-end")
        ended = task.wait_for_end("failed", seconds=30)
        state = job.state()
        task.expect_nothing_left()
        # What is cut off goes on, and nobody listens to it.
        equal(len(processes(pod.first, CONNECTOR)), 1, "processes of the connector after the end")
    finally:
        subprocess.run([CLUSTER, "up"], check=True, capture_output=True)
        world.client.host = service
    until("the connector goes on", lambda: not processes(pod.first, CONNECTOR), 120)
    world.wait_for_calm()
    world.wait_for_workers()
    equal(ended["failure_class"], "infrastructure", f"the class ({told(ended)})")
    expect("ended by force" in ended["failure_message"], f"its words: {ended['failure_message']}")
    # It may still write: it is not tried again by itself.
    equal([one.uid for one in task.pods()], [pod.uid], "the pods of the task")
    equal(task.status(), "failed", "the status of the task afterwards")
    equal(job.state(), state, "the state afterwards")
    job.expect_next_sync_reads_the_rest()
