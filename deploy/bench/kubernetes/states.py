"""States that a connector writes in its pod, and when they are stored; what the agent's memory is meanwhile."""

import glob
import os
import time

from apiserver import is_connector_over
from jobs import Job
from kubectl import processes
from runs import wait_for
from witness import memory

SECONDS = 20
# Rows of a batch: 8,087 rows make 81 states, about four a second.
BATCH = 100
# How often the file is looked at. Its own time says when it was written.
LOOK = 0.02


def states(bench, number):
    """So many syncs of 20 s: the seconds from each write to its commit, and the agent's memory (MB, middle and peak)."""
    delays, middle, peak = [], [], []
    for _ in range(number):
        job = Job(bench.world, "states", {"take_seconds": SECONDS}, batch_size=BATCH)
        time.sleep(1)
        task = job.sync()
        name = f"olake-{task.id.replace('-', '')}-1"
        _, pod = bench.watch.first(name, lambda kind, _: kind == "ADDED")
        agent = wait_for(lambda: processes(pod, "olake-worker"), "the agent does not run")[0]
        written, sizes = follow(bench, pod, agent)
        stored = {}
        for at, text in bench.database.of_task(task.id, "state"):
            stored.setdefault(text, at)
        # What was overwritten before it was read was never to be stored; the last one comes with the end.
        delays += [stored[text] - at for text, at in written.items() if text in stored]
        middle.append(sizes[len(sizes) // 2][0])
        peak.append(max(most for _, most in sizes))
        if len(stored) < 0.9 * len(written):
            raise RuntimeError(f"of {len(written)} states that were written {len(stored)} were stored")
    return delays, middle, peak


def follow(bench, pod, agent):
    """Each state with the time at which the file was written, and the agent's memory, until the connector has ended."""
    meta = pod["metadata"]
    volume = f"{bench.data}/kubelet/pods/{meta['uid']}/volumes/kubernetes.io~empty-dir/tmp"
    written, sizes, looks = {}, [], 0
    while not bench.watch.has(meta["name"], is_connector_over):
        for path in glob.glob(f"{volume}/state.json"):
            note(path, written)
        looks += 1
        if looks % 25 == 0:
            try:
                sizes.append(memory(agent))
            except (OSError, KeyError):
                pass  # it has ended
        time.sleep(LOOK)
    return written, sizes


def note(path, written):
    """Notes a state that is whole, under its text."""
    try:
        before = os.stat(path).st_mtime_ns
        with open(path, encoding="utf-8") as file:
            text = file.read()
        same = os.stat(path).st_mtime_ns == before
    except OSError:
        return
    if same and text.endswith("}"):
        written.setdefault(text, before / 1e9)
