"""Jobs of the sample connector, their tasks, and what became of them.

The source is the data set in the connector's image: the stream `transitions` has the ids 1 to ROWS, and is read on from the
greatest id that the state has. The destination is a folder in the pod, gone with it.
"""

import collections
import copy
import itertools
import json
import re

from chart import CONNECTORS
from client import Refused
from scenario import Failed, equal, expect, shorten, until
from watcher import pod_prefix

TYPE, VERSION = "files", "v0.9.4"
FOLDER, NAMESPACE, STREAM, ROWS = "/home/data", "data", "transitions", 8087
ENDS = ("succeeded", "failed", "cancelled", "skipped")
NUMBERS = itertools.count(1)


def source(version=VERSION, **config):
    return {"type": TYPE, "version": version, "config": {"path": FOLDER, "batch_size": 200, **config}}


def destination(version=VERSION):
    config = {"type": "PARQUET", "writer": {"local_path": "/tmp/lake"}}
    return {"type": "parquet", "version": version, "config": config}


def selected(catalog):
    """The catalog of a discover, with `transitions` alone selected."""
    catalog = copy.deepcopy(catalog)
    for entry in catalog["streams"]:
        stream = entry["stream"]
        if stream["name"] == STREAM:
            stream["sync_mode"], stream["cursor_field"] = "incremental", "id"
    catalog["selected_streams"] = {
        NAMESPACE: [one for one in catalog["selected_streams"][NAMESPACE] if one["stream_name"] == STREAM]}
    return catalog


class Job:
    """A job whose source misbehaves as `faults` says; those and `config` are told in
    deploy/sample-connector/src/spec/source.json."""

    def __init__(self, world, name, faults=None, settings=None, version=VERSION, catalog=None, **config):
        self.world = world
        name = f"{name} {next(NUMBERS)}"
        if faults:
            config["faults"] = faults
        side = dict(source(version, **config), name=name)
        body = {
            "name": name, "source": side, "destination": dict(destination(version), name=name),
            "frequency": "0 0 29 2 *", "streams_config": catalog or world.catalog(),
            "advanced_settings": settings,
        }
        self.source = side
        self.id = world.client.post("/jobs", body)["id"]

    def sync(self):
        self.world.client.post(f"/jobs/{self.id}/sync")
        return self.newest("sync")

    def clear(self):
        self.world.client.post(f"/jobs/{self.id}/clear-destination")
        return self.newest("clear")

    def newest(self, kind):
        tasks = self.world.client.get(f"/jobs/{self.id}/tasks?limit=5")
        return Task(self, next(task["id"] for task in tasks if task["kind"] == kind))

    def cancel(self):
        self.world.client.post(f"/jobs/{self.id}/cancel")

    def state(self):
        """The state's text, to the byte; None if there is none."""
        return self.world.client.get(f"/jobs/{self.id}/state").get("text")

    def put_state(self, text):
        self.world.client.put(f"/jobs/{self.id}/state", {"state": text})

    def sync_in_its_midst(self):
        """A sync that runs, and has stored a state."""
        task = self.sync()
        task.wait_for_phase("running")
        until("no state was stored", lambda: self.cursor() > 0, 60)
        return task

    def behave(self):
        """Takes the faults off its source: later syncs behave well."""
        self.source["config"].pop("faults", None)
        source = self.world.client.get(f"/jobs/{self.id}")["source"]["id"]
        self.world.client.put(f"/sources/{source}", self.source)

    def expect_next_sync_reads_the_rest(self):
        """A further sync, which behaves well, begins with the state of the last one, which was ended in its midst."""
        before = self.cursor()
        expect(0 < before < ROWS, f"the state is at {before}")
        self.behave()
        ended = self.sync().wait_for_end()
        equal(ended["records_read"], ROWS - before, "rows of the next sync")
        equal(self.cursor(), ROWS, "the cursor after it")

    def expect_next_sync_goes_on(self):
        """A further sync, which behaves well, begins with the state of the last one: it reads no row, changes nothing of the
        state and leaves nothing behind."""
        self.behave()
        state = self.state()
        task = self.sync()
        ended = task.wait_for_end()
        equal(ended.get("records_read", 0), 0, "rows of the next sync")
        equal(ended["attempt"], 1, "attempts of the next sync")
        expect("--state" in task.pods()[0].arguments, "the next sync was given no state")
        expect(self.state() == state, lambda: f"the state after the next sync: {shorten(self.state())}, before: {shorten(state)}")
        task.expect_nothing_left()

    def cursor(self):
        """The greatest id that the state has; 0 without one."""
        text = self.state()
        streams = json.loads(text).get("streams", []) if text else []
        return next((entry["state"].get("id", 0) for entry in streams if entry["stream"] == STREAM), 0)


class Task:
    def __init__(self, job, task):
        self.job, self.world, self.id = job, job.world, task

    def show(self):
        return self.world.client.get(f"/tasks/{self.id}")

    def status(self):
        return self.show()["status"]

    def pods(self):
        return self.world.watcher.of_task(self.id)

    def wait_for_phase(self, phase, seconds=60):
        def reached():
            task = self.show()
            expect(task["status"] not in ENDS, lambda: f"it ended before it was {phase}: {told(task)}")
            return task.get("phase") == phase

        until(f"task {self.id} is not {phase}", reached, seconds)

    def wait_for_lines(self, number, seconds=60):
        until(f"task {self.id} has no {number} lines", lambda: self.show()["log_lines"] >= number, seconds)

    def wait_for_end(self, status="succeeded", seconds=120):
        """The task as it ended; it must have ended so."""
        task = until(f"task {self.id} has not ended", lambda: self._ended(), seconds)
        equal(task["status"], status, f"the status of task {self.id} ({told(task)})")
        return task

    def _ended(self):
        try:
            task = self.show()
        except Refused as error:
            if error.status is None or error.status >= 500:
                return None  # the API may be restarting, too
            raise
        return task if task["status"] in ENDS else None

    def expect_nothing_left(self, seconds=60):
        """Its pods and their Secrets go, soon after its end."""
        prefix = pod_prefix(self.id)

        def left():
            secrets = [one["metadata"]["name"] for one in self.world.kubectl.list("secrets", CONNECTORS)]
            return [name for name in [pod.name for pod in self.pods() if not pod.is_gone] + secrets if name.startswith(prefix)]

        until(f"something of task {self.id} is left", lambda: not left(), seconds)

    def messages(self):
        """All log lines, oldest first."""
        cursor = 0
        while True:
            page = self.world.client.get(
                f"/jobs/{self.job.id}/task/{self.id}/logs?direction=newer&limit=5000&cursor={cursor}")
            yield from (line["message"] for line in page["task_logs"])
            cursor = page["newer_cursor"]
            if not page["has_more_newer"]:
                return

    def numbers(self):
        """The numbers of the lines "line N" (the fault log_lines), in their order."""
        found = (re.fullmatch(r"line (\d+)", message) for message in self.messages())
        return [int(match[1]) for match in found if match]

    def expect_every_line_once(self, number):
        numbers = self.numbers()
        if numbers == list(range(1, number + 1)):
            return
        times = collections.Counter(numbers)
        missing = [n for n in range(1, number + 1) if n not in times]
        doubled = [n for n in times if times[n] > 1]
        raise Failed(f"task {self.id} has {len(numbers)} of {number} lines; {len(missing)} are missing {missing[:20]}, "
                     f"{len(doubled)} doubled {doubled[:20]}, in order: {numbers == sorted(numbers)}")


def told(task):
    words = [task.get("failure_class"), task.get("failure_message"), task.get("hold_reason")]
    return ", ".join(word for word in words if word) or "no reason told"
