"""Jobs, and the syncs that are asked for all the while."""

import json
import os
import threading
import time

from system import ACTIVE, PROJECT, Refused
from witness import Story

FIRST_ROWS, MORE_ROWS, BATCH = 120, 60, 20
LINES_PER_SECOND = 15
ENDS = ("succeeded", "failed", "cancelled", "skipped")


class Job:
    """A job with a folder of rows and a witness of its own."""

    def __init__(self, load, number, faults):
        self.load, self.key = load, f"job-{number}"
        self.rows = 0
        # When each sync was asked for that was acknowledged, and the rows that there were by then.
        self.acknowledged, self.promised = [], 0
        self.running = False
        self.failures = []
        folder = os.path.join(load.folder, "rows", self.key)
        os.makedirs(folder)
        self.file = os.path.join(folder, "numbers.csv")
        self.add_rows(FIRST_ROWS)
        faults = dict(faults, witness={"folder": load.witnesses, "key": self.key})
        namespace = self.key
        streams = json.loads(json.dumps(load.streams).replace('"rows-template"', json.dumps(namespace)))
        body = {
            "name": self.key,
            "source": {"name": self.key, "type": "files", "version": "v0.9.4",
                       "config": {"path": folder, "batch_size": BATCH, "faults": faults}},
            "destination": {"name": self.key, "type": "parquet", "version": "v0.9.4",
                            "config": {"type": "PARQUET",
                                       "writer": {"local_path": os.path.join(load.folder, "lake", self.key)}}},
            "frequency": "0 0 29 2 *",
            "streams_config": streams,
        }
        self.id = load.client.call("POST", f"{PROJECT}/jobs", body, seconds=30)["id"]

    def add_rows(self, number):
        new = self.rows + number
        with open(self.file, "a", encoding="utf-8") as file:
            if self.rows == 0:
                file.write("id,word\n")
            for row in range(self.rows + 1, new + 1):
                file.write(f"{row},word {row}\n")
        self.rows = new

    def story(self):
        return Story.read(self.load.witnesses, self.key)

    def ask(self):
        """Asks for a sync. Whether it was acknowledged, or is known to be there by now."""
        asked = time.time()
        try:
            self.load.client.call("POST", f"{PROJECT}/jobs/{self.id}/sync")
        except Refused:
            # It may have been written all the same: that shows when the tasks are looked at.
            return False
        self.acknowledged.append(asked)
        self.promised = self.rows
        self.running = True
        return True

    def tasks(self):
        """All tasks, newest first."""
        return self.load.client.call("GET", f"{PROJECT}/jobs/{self.id}/tasks")

    def look(self):
        """Whether its sync has ended."""
        tasks = self.tasks()
        if tasks and tasks[0]["status"] in ENDS:
            self.running = False
            if tasks[0]["status"] != "succeeded" and tasks[0]["id"] not in [task["id"] for task in self.failures]:
                self.failures.append(tasks[0])
        return not self.running

    def lines(self):
        """All log lines of all its tasks, oldest first."""
        messages = []
        for task in reversed(self.tasks()):
            cursor = 0
            while True:
                page = self.load.client.call(
                    "GET", f"{PROJECT}/jobs/{self.id}/task/{task['id']}/logs"
                           f"?direction=newer&limit=5000&cursor={cursor}", seconds=30)
                messages += [line["message"] for line in page["task_logs"]]
                cursor = page["newer_cursor"]
                if not page["has_more_newer"]:
                    break
        return messages


class Load:
    """Keeps syncs of many jobs running, until it is stopped."""

    def __init__(self, folder, client, random):
        self.folder, self.client, self.random = folder, client, random
        self.witnesses = os.path.join(folder, "witness")
        self.jobs, self.canary = [], None
        self.stopping = threading.Event()
        self.completed = 0
        template = os.path.join(folder, "rows-template")
        os.makedirs(template)
        with open(os.path.join(template, "numbers.csv"), "w", encoding="utf-8") as file:
            file.write("id,word\n1,word 1\n")
        source = {"type": "files", "version": "v0.9.4", "config": {"path": template}}
        self.streams = client.call("POST", f"{PROJECT}/source/streams", source, seconds=60)["streams_config"]
        for stream in self.streams["streams"]:
            stream["stream"]["sync_mode"] = "incremental"
            stream["stream"]["cursor_field"] = "id"

    def create(self, number, seconds):
        """Jobs whose syncs take so many seconds."""
        lines = round(seconds * LINES_PER_SECOND)
        faults = {"take_seconds": seconds, "log_lines": lines, "log_lines_per_second": LINES_PER_SECOND}
        for at in range(number):
            # Some of them leave half a state in the file for a moment, each time.
            self.jobs.append(Job(self, at + 1, dict(faults, half_state=at % 10 == 0)))
        self.canary = Job(self, 0, {"log_lines": 2})

    def run(self):
        """Until it is stopped: asks for syncs of jobs that have none, those with the fewest first."""
        active = []
        while not self.stopping.is_set():
            active = self._still_active(active)
            for job in self._next(ACTIVE - len(active), active):
                if job.acknowledged:
                    job.add_rows(MORE_ROWS)
                if not job.ask():
                    # Not acknowledged, but perhaps there: it counts as active until a look shows its end.
                    job.running = True
                active.append(job)
            self.stopping.wait(0.3)
        self.active = active

    def _next(self, number, active):
        waiting = [job for job in self.jobs if job not in active]
        self.random.shuffle(waiting)
        waiting.sort(key=lambda job: len(job.acknowledged))
        return waiting[:max(0, number)]

    def _still_active(self, active):
        still = []
        for job in active:
            try:
                ended = job.look()
            except Refused:
                ended = False
            if not ended and not self._is_there(job):
                continue
            if ended:
                self.completed += 1
            else:
                still.append(job)
        return still

    def _is_there(self, job):
        """Whether a sync that was not acknowledged exists: without any task there is none to wait for."""
        if job.acknowledged:
            return True
        try:
            return bool(job.tasks())
        except Refused:
            return True

    def quiet(self, seconds):
        """Stops asking, and waits until every sync has ended. The jobs whose syncs have not."""
        self.stopping.set()
        end = time.monotonic() + seconds
        open_jobs = [*self.jobs, self.canary]
        while open_jobs and time.monotonic() < end:
            open_jobs = [job for job in open_jobs if not self._has_ended(job)]
            time.sleep(0.2)
        return open_jobs

    @staticmethod
    def _has_ended(job):
        try:
            tasks = job.tasks()
        except Refused:
            return False
        if tasks:
            job.look()
        return not tasks or all(task["status"] in ENDS for task in tasks)
