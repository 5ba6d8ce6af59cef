"""The Kubernetes API, asked without kubectl: what is measured is read from its answers as soon as they come."""

import http.client
import json
import os
import ssl
import threading
import time


class ApiServer:
    """As the cluster's administrator. Safe to use from several threads. To be used in the cluster's network."""

    def __init__(self, data):
        """`data`: the folder of the cluster (deploy/cluster)."""
        pki = os.path.join(data, "pki")
        self.context = ssl.create_default_context(cafile=f"{pki}/ca.crt")
        self.context.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")
        self.kept = threading.local()

    def connect(self):
        return http.client.HTTPSConnection("127.0.0.1", 6443, timeout=600, context=self.context)

    def call(self, method, path, body=None, kind="application/json"):
        """The answer's object."""
        try:
            status, text = self._ask(method, path, body, kind)
        except http.client.RemoteDisconnected:
            # Nobody asked for a while, and the server has closed the connection: it has not read this.
            del self.kept.connection
            status, text = self._ask(method, path, body, kind)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {text[:500]}")
        return json.loads(text)

    def _ask(self, method, path, body, kind):
        if not hasattr(self.kept, "connection"):
            self.kept.connection = self.connect()
        self.kept.connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": kind})
        answer = self.kept.connection.getresponse()
        return answer.status, answer.read()


class Watch:
    """Every event of a namespace's pods from now on, with the time at which it came. It ends with the process."""

    def __init__(self, api, namespace):
        self.path = f"/api/v1/namespaces/{namespace}/pods"
        version = api.call("GET", f"{self.path}?limit=1")["metadata"]["resourceVersion"]
        self.answer = self._open(api.connect(), version)
        self.changed = threading.Condition()
        self.events = {}  # a pod's name: its events as (time, type, pod)
        threading.Thread(target=self._read, daemon=True).start()

    def _open(self, connection, version):
        connection.request("GET", f"{self.path}?watch=1&timeoutSeconds=86400&resourceVersion={version}")
        return connection.getresponse()

    def _read(self):
        while line := self.answer.readline():
            now = time.time()
            event = json.loads(line)
            with self.changed:
                self.events.setdefault(event["object"]["metadata"]["name"], []).append((now, event["type"], event["object"]))
                self.changed.notify_all()

    def first(self, name, what, seconds=60):
        """The first event of a pod of which `what(type, pod)` is true, as (time, pod)."""
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                for at, kind, pod in self.events.get(name, []):
                    if what(kind, pod):
                        return at, pod
                if not self.changed.wait(end - time.monotonic()):
                    raise RuntimeError(f"{name}: nothing of it was seen in {seconds} s")

    def has(self, name, what):
        """Whether there was an event of a pod of which `what(type, pod)` is true."""
        with self.changed:
            return any(what(kind, pod) for _, kind, pod in self.events.get(name, []))


def state_of(pod, name="connector"):
    """`waiting`, `running` or `terminated` of a container, with its details; {} before any."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return next((status["state"] for status in statuses if status["name"] == name), {})


def is_connector_over(_, pod):
    return "terminated" in state_of(pod)


def is_gone(kind, _):
    return kind == "DELETED"
