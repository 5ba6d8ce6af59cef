"""Installs, upgrades and removes the chart, with helm."""

import json
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
CHART = os.path.join(HERE, "../../helm/olake")
# What helm takes the cluster for where it does not ask it.
KUBERNETES = "1.34"
RELEASE, NAMESPACE, CONNECTORS = "olake", "olake", "olake-connectors"
API, WORKER = f"{RELEASE}-api", f"{RELEASE}-worker"
SELECTORS = {name: f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={name}" for name in ("api", "worker")}


class HelmError(Exception):
    pass


def objection(call, *arguments, **named):
    """What helm says when a call of a chart fails; None if it does not."""
    try:
        call(*arguments, **named)
    except HelmError as error:
        return str(error)
    return None


class Chart:
    def helm(self, *arguments, seconds=900):
        done = subprocess.run(["helm", *arguments], capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode != 0:
            raise HelmError(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def values(self, more):
        return ["--namespace", NAMESPACE, "--values", os.path.join(HERE, "values.yaml"),
                *(part for text in more for part in ("--set-json", text))]

    def install(self, *more, timeout="5m"):
        """`more`: values as "key=JSON"."""
        self.helm("install", RELEASE, CHART, *self.values(more), "--wait", "--timeout", timeout)

    def upgrade(self, *more):
        self.helm("upgrade", RELEASE, CHART, *self.values(more), "--wait", "--timeout", "5m")

    def try_upgrade(self, *more):
        """Asks the cluster, and changes nothing."""
        self.helm("upgrade", RELEASE, CHART, *self.values(more), "--dry-run=server")

    def uninstall(self, *more):
        self.helm("uninstall", RELEASE, "--namespace", NAMESPACE, "--wait", "--timeout", "8m", *more)

    def uninstall_if_installed(self):
        self.uninstall("--ignore-not-found")

    def rendered(self, *arguments, release=RELEASE):
        """The manifests, made without a look at the cluster."""
        return self.helm("template", release, CHART, "--kube-version", KUBERNETES, *self.values([]), *arguments)

    def lint(self):
        self.helm("lint", "--strict", CHART, "--kube-version", KUBERNETES, *self.values([]))

    def revision(self):
        """How often the release was installed or upgraded."""
        releases = json.loads(self.helm("list", "--all", "--namespace", NAMESPACE, "--output", "json"))
        return next(one["revision"] for one in releases if one["name"] == RELEASE)
