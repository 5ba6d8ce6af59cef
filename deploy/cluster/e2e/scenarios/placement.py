"""Profiles and amounts that jobs ask for."""

from chart import CONNECTORS
from client import Refused
from jobs import Job
from scenario import Failed, equal, expect, scenario, until


# What other scenarios use: a profile is there until another list takes its place.
NOWHERE = {"nowhere": {"node_selector": {"pool": "nowhere"}}}


def refusal(world, settings):
    try:
        Job(world, "refused", settings=settings)
    except Refused as error:
        equal(error.status, 400, f"the status for {settings}")
        return error.body
    raise Failed(f"{settings} was taken")


def refused_by_kubernetes(world, profile, words):
    """The answer to a job of this profile, once the workers know it."""
    def answer():
        body = refusal(world, {"profile": profile})
        return None if "not all workers that are up have a profile" in body else body

    body = until(f"no worker knows the profile {profile}", answer, 180, pause=2)
    for word in ("advanced_settings.profile", *words):
        expect(word in body, f"the answer does not say {word}: {body}")


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
    world.profiles({**NOWHERE, "small": profile})
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


@scenario()
def what_kubernetes_would_refuse_is_refused_when_the_job_is_saved_in_its_words(world):
    world.wait_for_nothing_left()
    world.profiles({**NOWHERE, "gold": {"priority_class": "gold"}, "nobody": {"service_account": "nobody"}})
    refused_by_kubernetes(world, "gold", ["no PriorityClass with name gold was found"])
    refused_by_kubernetes(world, "nobody", ["serviceaccount", "nobody", "not found"])
    equal(world.ours_left(), [], "pods and Secrets of questions")


@scenario()
def memory_that_the_quota_never_gives_is_refused_and_less_is_taken(world):
    # The agent has 256Mi of it.
    world.kubectl.apply({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": CONNECTORS},
        "spec": {"hard": {"limits.memory": "576Mi"}}})
    try:
        words = until("the quota does not count", lambda: words_of_refusal(world, "512Mi"), pause=1)
        expect("exceeded quota: small" in words, f"the answer does not name the quota: {words}")
        expect("advanced_settings.max_memory" in words, f"the answer does not name the setting: {words}")
        Job(world, "modest", settings={"max_memory": "256Mi"})
    finally:
        world.kubectl.delete("resourcequota", "small", CONNECTORS)


def words_of_refusal(world, memory):
    """The answer's words when a job of this memory is refused; none when it is taken."""
    try:
        Job(world, "asking", settings={"max_memory": memory})
        return None
    except Refused as error:
        return error.body


def takes(world, name):
    try:
        Job(world, "asking", settings={"profile": name})
        return True
    except Refused:
        return False
