"""Reads what the connectors' witnesses wrote: what really happened, whatever the system says.

The form of the files: deploy/sample-connector/src/witness.rs.
"""

import json
import os


class Run:
    """One run of a connector."""

    def __init__(self, entry):
        self.pid = entry["pid"]
        self.at = entry["at"] / 1000
        self.state = entry["state"]
        self.batches = []
        self.lines = []
        self.end = None
        self.ended_at = None


class Story:
    """All runs of one job."""

    def __init__(self, runs, overlaps):
        self.runs = runs
        self.overlaps = overlaps

    @classmethod
    def read(cls, folder, key):
        runs, overlaps = [], 0
        try:
            with open(os.path.join(folder, f"{key}.witness"), encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            text = ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # read while it was written
            event = entry["event"]
            if event == "start":
                runs.append(Run(entry))
            elif event == "overlap":
                overlaps += 1
            elif event == "batch":
                runs[-1].batches.append((entry["first"], entry["last"], entry["state"]))
            elif event == "line":
                runs[-1].lines.append(entry["line"])
            elif event == "end":
                runs[-1].end = entry["code"]
                runs[-1].ended_at = entry["at"] / 1000
        return cls(runs, overlaps)

    def rows_missing(self, rows):
        """How many of the rows 1 to `rows` were never written."""
        seen = set()
        for run in self.runs:
            for first, last, _ in run.batches:
                seen.update(range(first, last + 1))
        return len(set(range(1, rows + 1)) - seen)

    def acknowledged(self):
        """The last row that a connector has told its source to be done with."""
        return max((last for run in self.runs for _, last, _ in run.batches), default=0)

    def states_too_old(self, stored):
        """How many runs began behind an acknowledged batch; the stored state counts as the beginning of the next."""
        too_old, acknowledged = 0, 0
        for run in self.runs:
            too_old += position(run.state) < acknowledged
            acknowledged = max([acknowledged, *(last for _, last, _ in run.batches)])
        return too_old + (position(stored) < acknowledged)

    def line_faults(self, stored):
        """Numbers of log lines (missing, doubled) in the stored messages. One that nobody said counts as doubled."""
        found = {}
        for message in stored:
            word, _, number = message.partition(" ")
            if word == "line" and number.isdigit():
                found[int(number)] = found.get(int(number), 0) + 1
        missing, doubled = [], []
        for run in self.runs:
            for at, line in enumerate(run.lines):
                times = found.pop(line, 0)
                # The last one of a run without an end was announced, and perhaps not said.
                certain = at + 1 < len(run.lines) or run.end is not None
                if times == 0 and certain:
                    missing.append(line)
                if times > 1:
                    doubled.append(line)
        return missing, doubled + list(found)

    def succeeded_between(self, begin, end):
        return any(run.end == 0 and begin <= run.ended_at < end for run in self.runs)


def position(state):
    """How far a state says that its stream has come."""
    if not state:
        return 0
    streams = json.loads(state).get("streams") or [{}]
    return streams[0].get("state", {}).get("id", 0)
