"""What scenarios work with: the cluster, the installation on it, and a client of its API."""

import contextlib
import json
import os
import signal

import jobs
from chart import API, CONNECTORS, NAMESPACE, SELECTORS, WORKER, Chart
from client import Client
from kubectl import Kubectl, KubectlError, processes
from registry import Registry
from scenario import until
from watcher import Watcher

WORKERS = 2


class World:
    """`folder` is where files of this run go."""

    def __init__(self, folder):
        self.folder = folder
        self.kubectl = Kubectl()
        self.chart = Chart()
        self.client = Client(f"{API}.{NAMESPACE}.svc.cluster.local", 8080)
        self.registry = Registry()
        self.watcher = Watcher(CONNECTORS)
        self.discovered = None

    def stop(self):
        self.watcher.stop()
        self.registry.stop()

    def sign_in(self):
        until("the API is not ready", self.client.is_ready)
        self.client.login()

    def catalog(self):
        """The catalog of the sample's data set with `transitions` selected, as a discover finds it."""
        if self.discovered is None:
            self.discovered = self.client.post("/source/streams", jobs.source())["streams_config"]
        return jobs.selected(self.discovered)

    def worker_pods(self):
        return self.kubectl.list("pods", NAMESPACE, SELECTORS["worker"])

    def kill_workers(self):
        """kill -9 of every worker at once. The kubelet starts them again."""
        victims = [pid for pod in self.worker_pods() for pid in processes(pod, "olake-worker")]
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        return len(victims)

    def scale_workers(self, number):
        """Stops workers in an orderly way, or starts them; waits until it is so."""
        self.kubectl.run("scale", f"deployment/{WORKER}", f"--replicas={number}", "--namespace", NAMESPACE)
        if number == 0:
            until("workers are left", lambda: not self.worker_pods(), 120)
        else:
            self.wait_for_workers(number)

    def wait_for_workers(self, number=WORKERS, seconds=120):
        def ready():
            deployment = self.kubectl.get("deployment", WORKER, NAMESPACE)
            return deployment["status"].get("readyReplicas", 0) == number == len(self.worker_pods())

        until(f"there are not {number} workers", ready, seconds)

    def wait_for_calm(self, answers=40, seconds=300):
        """Waits until the API has answered through its Service so many times in a row, at least each half second: after an
        outage of the API server, the endpoints of Services come and go for a while."""
        in_a_row = 0

        def answered():
            nonlocal in_a_row
            in_a_row = in_a_row + 1 if self.client.is_ready() else 0
            return in_a_row >= answers

        until(f"the API does not answer {answers} times in a row", answered, seconds, pause=0.5)

    @contextlib.contextmanager
    def installed_with(self, *values):
        """While it is entered, the installation has these values; "key=JSON"."""
        self.chart.upgrade(*values)
        try:
            self.settle()
            yield
        finally:
            self.chart.upgrade()
            self.settle()

    def settle(self):
        """Waits until the pods from before an upgrade are gone: what is sent to one that ends may get no answer."""
        self.wait_for_workers()
        replicas = self.kubectl.get("deployment", API, NAMESPACE)["spec"]["replicas"]
        until("API pods of before are left", lambda: len(self.kubectl.list("pods", NAMESPACE, SELECTORS["api"])) == replicas, 120)

    def profiles(self, profiles):
        """Gives the installation these placement profiles."""
        self.chart.upgrade(f"connectors.profiles={json.dumps(profiles)}")

    def ours_left(self):
        """The names of pods and Secrets in the connectors' namespace."""
        return [f"{kind}/{one['metadata']['name']}" for kind in ("pods", "secrets")
                for one in self.kubectl.list(kind, CONNECTORS)]

    def wait_for_nothing_left(self, seconds=60):
        until("pods or Secrets of connectors are left", lambda: not self.ours_left(), seconds)

    def diagnose(self):
        """What helps to understand a failure: states, events and logs of everything of ours."""
        parts = []
        for namespace in (NAMESPACE, CONNECTORS):
            for arguments in (
                ("get", "pods,jobs", "--output", "wide"),
                ("describe", "pods"),
                ("get", "events", "--sort-by", ".lastTimestamp"),
            ):
                parts.append(self._said(*arguments, "--namespace", namespace))
        for pod in self.kubectl.list("pods", NAMESPACE):
            name = pod["metadata"]["name"]
            parts.append(self._said("logs", name, "--namespace", NAMESPACE, "--tail", "300", "--all-containers"))
            parts.append(self._said("logs", name, "--namespace", NAMESPACE, "--tail", "100", "--previous"))
        for pod in self.kubectl.list("pods", CONNECTORS):
            name = pod["metadata"]["name"]
            parts.append(self._said("logs", name, "--namespace", CONNECTORS, "--tail", "50", "--all-containers", "--prefix"))
        return "\n".join(parts)

    def _said(self, *arguments):
        try:
            said = self.kubectl.run(*arguments)
        except KubectlError as error:
            said = str(error)
        return f"$ kubectl {' '.join(arguments)}\n{said}"
