"""kubectl, and what this program needs to know of the pods of the node."""

import json
import os
import subprocess


class KubectlError(Exception):
    pass


class Kubectl:
    """Calls kubectl; KUBECONFIG says which cluster. Safe to use from several threads."""

    def run(self, *arguments, given=None, check=True, seconds=120):
        """The standard output. `given`: what is read from the standard input, an object as JSON."""
        text = given if given is None or isinstance(given, str) else json.dumps(given)
        done = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=seconds,
                              check=False)
        if check and done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def fails(self, *arguments, given=None):
        """What it says when it fails; None if it does not."""
        try:
            self.run(*arguments, given=given)
        except KubectlError as error:
            return str(error)
        return None

    def get(self, kind, name, namespace):
        """The object, or None if there is none."""
        text = self.run("get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output", "json")
        return json.loads(text) if text.strip() else None

    def list(self, kind, namespace, selector=""):
        text = self.run("get", kind, "--namespace", namespace, "--selector", selector, "--output", "json")
        return json.loads(text)["items"]

    def create(self, manifest, *arguments):
        """Makes the object; answers it as the API server made it."""
        return json.loads(self.run("create", "--filename", "-", "--output", "json", *arguments, given=manifest))

    def apply(self, manifest):
        self.run("apply", "--server-side", "--filename", "-", given=manifest)

    def delete(self, kind, name, namespace=None, *arguments):
        place = ["--namespace", namespace] if namespace else []
        self.run("delete", kind, name, *place, "--ignore-not-found", *arguments)


def processes(pod, program):
    """The ids of the pod's processes that run the program. This program shares the processes of the machine with the node."""
    mark = f"pod{pod['metadata']['uid']}"
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/comm", encoding="utf-8") as file:
                is_program = file.read().strip() == program
            with open(f"/proc/{entry}/cgroup", encoding="utf-8") as file:
                if is_program and mark in file.read().replace("_", "-"):
                    found.append(int(entry))
        except OSError:
            continue  # it has ended meanwhile
    return found
