"""Remembers every pod of a namespace: pods of connectors are gone soon after their end."""

import json
import subprocess
import threading
import time


class Pod:
    """A pod, as it was seen first and last."""

    def __init__(self, first):
        self.first = self.last = first
        self.is_gone = False

    @property
    def name(self):
        return self.first["metadata"]["name"]

    @property
    def uid(self):
        return self.first["metadata"]["uid"]

    @property
    def arguments(self):
        """What the connector was asked for, as ["sync", "--no-save", …]."""
        return self.connector["args"]

    @property
    def connector(self):
        return next(container for container in self.first["spec"]["containers"] if container["name"] == "connector")

    @property
    def has_agent(self):
        """Whether a worker has made it; scenarios make pods, too."""
        return any(container["name"] == "agent" for container in self.first["spec"].get("initContainers", []))

    def connector_state(self):
        """`waiting`, `running` or `terminated` of the connector's container with its details; {} before any."""
        statuses = self.last.get("status", {}).get("containerStatuses", [])
        return next((status["state"] for status in statuses if status["name"] == "connector"), {})


def pod_prefix(task):
    """With what the names of a task's pods and Secrets begin."""
    return f"olake-{task.replace('-', '')}-"


class Watcher:
    """Watches until it is stopped. After a break it lists again, so that it may miss what came and went meanwhile; breaks
    come when the API server ends a watch, about once in an hour."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.lock = threading.Lock()
        self.seen = {}
        self.stopping = False
        self.child = None
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self):
        self.stopping = True
        if self.child:
            self.child.terminate()

    def all(self):
        with self.lock:
            return list(self.seen.values())

    def of_task(self, task):
        """The pods of a task, oldest first."""
        pods = [pod for pod in self.all() if pod.name.startswith(pod_prefix(task))]
        return sorted(pods, key=lambda pod: pod.first["metadata"]["creationTimestamp"])

    def _run(self):
        while not self.stopping:
            self.child = subprocess.Popen(
                ["kubectl", "get", "pods", "--namespace", self.namespace, "--watch", "--output-watch-events", "--output",
                 "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            if self.stopping:  # told so meanwhile
                self.child.terminate()
            self._read(self.child.stdout)
            self.child.wait()
            time.sleep(0.2)

    def _read(self, stream):
        decoder, text = json.JSONDecoder(), ""
        for line in stream:
            text += line
            # kubectl prints each event over many lines; its last one alone is a brace at the margin.
            if line.rstrip() != "}" and not line.startswith("{\""):
                continue
            try:
                event, end = decoder.raw_decode(text)
            except ValueError:
                continue
            text = text[end:].lstrip()
            self._note(event)

    def _note(self, event):
        found = event.get("object", {})
        if found.get("kind") != "Pod":
            return
        with self.lock:
            pod = self.seen.setdefault(found["metadata"]["uid"], Pod(found))
            pod.last = found
            pod.is_gone = event["type"] == "DELETED"
