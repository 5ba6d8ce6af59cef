"""What others put into our pods."""

import time

from chart import CONNECTORS
from injection import Injection
from jobs import ROWS, Job
from scenario import equal, expect, scenario, until


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
