"""Profiles and amounts that jobs ask for."""

from client import Refused
from jobs import Job
from scenario import Failed, equal, expect, scenario, until


def refusal(world, settings):
    try:
        Job(world, "refused", settings=settings)
    except Refused as error:
        equal(error.status, 400, f"the status for {settings}")
        return error.body
    raise Failed(f"{settings} was taken")


@scenario(ci=True)
def a_profile_that_does_not_exist_and_an_amount_that_is_none_are_refused(world):
    expect("huge" in refusal(world, {"profile": "huge"}), "the answer does not name the profile")
    expect("max_memory" in refusal(world, {"max_memory": "lots"}), "the answer does not name the setting")
    expect("max_memory" in refusal(world, {"max_memory": "900Gi"}), "the answer to more than the cap does not name the setting")


@scenario()
def a_profile_is_taken_up_without_a_restart(world):
    before = sorted(pod["metadata"]["uid"] for pod in world.worker_pods())
    profile = {"node_selector": {"kubernetes.io/os": "linux"}, "annotations": {"example.org/team": "data"},
               "env": {"TZ": "Europe/Berlin"}, "user_id": 1000, "resources": "memory=256Mi"}
    world.profiles({"nowhere": {"node_selector": {"pool": "nowhere"}}, "small": profile})
    until("no worker knows the profile", lambda: takes(world, "small"), 180, pause=2)
    task = Job(world, "small", settings={"profile": "small"}).sync()
    task.wait_for_end()
    pod = task.pods()[0]
    spec = pod.first["spec"]
    equal(spec["nodeSelector"], profile["node_selector"], "the pod's node selector")
    equal(spec["securityContext"]["runAsUser"], 1000, "the pod's user")
    equal(pod.first["metadata"]["annotations"]["example.org/team"], "data", "the pod's annotation")
    expect({"name": "TZ", "value": "Europe/Berlin"} in pod.connector["env"], "the variable is missing")
    equal(pod.connector["resources"]["limits"]["memory"], "256Mi", "the memory limit")
    equal(sorted(pod["metadata"]["uid"] for pod in world.worker_pods()), before, "the workers")


def takes(world, name):
    try:
        Job(world, "asking", settings={"profile": name})
        return True
    except Refused:
        return False
