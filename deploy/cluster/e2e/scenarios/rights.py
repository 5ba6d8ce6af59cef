"""What our accounts may do, and what the pod security standard says of our pods."""

import json

from chart import API, CONNECTORS, NAMESPACE, WORKER
from jobs import Job
from scenario import equal, expect, scenario, until

RESTRICTED = "olake-e2e-restricted"
EXPECTED = {
    ("pods", verb) for verb in ("create", "get", "list", "watch", "patch", "delete")
} | {("pods/log", "get"), ("events", "list")} | {
    ("secrets", verb) for verb in ("create", "get", "list", "patch", "delete")
}
# Name of a profile, and of what is made for it. Everything that one can have; the node has what it asks for.
FULL = "olake-e2e-full"
PROFILE = {
    "node_selector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "olake", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]}]}}},
    "priority_class": FULL, "runtime_class": FULL, "pull_secrets": ["nobodys"], "service_account": FULL,
    "env": {"TZ": "Europe/Berlin"}, "annotations": {"example.org/team": "data"}, "user_id": 1000, "resources": "cpu=60m",
}
# What every account may do: ask for its own rights.
OF_EVERYBODY = {"authorization.k8s.io", "authentication.k8s.io"}
# What pods are asked for, and whether they are given a state.
SHAPES = {("spec", False), ("check", False), ("discover", False), ("difference", False), ("sync", False), ("sync", True),
          ("clear-destination", True)}


def rights(world, account, namespace):
    """What an account of the release's namespace may do in a namespace, as the API server tells it."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    status = world.kubectl.create(
        review, "--validate=false", "--as", f"system:serviceaccount:{NAMESPACE}:{account}", "--as-group", "system:serviceaccounts",
        "--as-group", f"system:serviceaccounts:{NAMESPACE}", "--as-group", "system:authenticated")["status"]
    expect(not status.get("incomplete"), "the API server does not know all rights")
    found = set()
    for rule in status["resourceRules"]:
        if set(rule["apiGroups"]) <= OF_EVERYBODY:
            continue
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                name = resource if rule["apiGroups"] == [""] else f"{resource}.{'|'.join(rule['apiGroups'])}"
                found.add((name + (f" {rule['resourceNames']}" if rule.get("resourceNames") else ""), verb))
    return found


@scenario(ci=True)
def workers_have_exactly_the_rights_they_need_and_the_api_has_none(world):
    equal(sorted(rights(world, WORKER, CONNECTORS)), sorted(EXPECTED), "the workers' rights among the connectors")
    for namespace in (NAMESPACE, "default", "kube-system"):
        equal(rights(world, WORKER, namespace), set(), f"the workers' rights in {namespace}")
    for namespace in (CONNECTORS, NAMESPACE, "default", "kube-system"):
        equal(rights(world, API, namespace), set(), f"the API's rights in {namespace}")
    pods = world.kubectl.list("pods", NAMESPACE, "app.kubernetes.io/component=api")
    mounted = [volume["name"] for pod in pods for volume in pod["spec"]["volumes"] if volume["name"].startswith("kube-api-access")]
    equal(mounted, [], "tokens in the API's pods")


@scenario(ci=True)
def every_shape_of_pod_passes_a_namespace_that_enforces_restricted(world):
    Job(world, "heavy", settings={"max_memory": "256Mi"}).sync().wait_for_end()
    full = pod_with_every_field(world)
    shapes = {}
    for pod in filter(lambda pod: pod.has_agent, world.watcher.all()):
        shapes.setdefault(shape(pod), pod)
    seen = {(kind, state) for kind, state, *_ in shapes}
    expect(SHAPES <= seen, f"no pod was seen for {SHAPES - seen}")
    expect(shape(full) in shapes, "the pod with every field is none of them")
    world.kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RESTRICTED, "labels": {
        f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}}})
    try:
        until("the namespace has no account", lambda: world.kubectl.get("serviceaccount", "default", RESTRICTED))
        world.kubectl.apply(account(RESTRICTED))
        bad = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad"},
               "spec": {"containers": [{"name": "c", "image": "localhost/busybox:1"}]}}
        refusal = dry_run(world, bad)
        expect(refusal and "restricted" in refusal, f"the namespace does not enforce it: {refusal}")
        for pod in shapes.values():
            refusal = dry_run(world, manifest(pod))
            expect(refusal is None, f"{shape(pod)}: {refusal}")
    finally:
        world.kubectl.delete("namespace", RESTRICTED, None, "--wait=false")
        world.kubectl.delete("serviceaccount", FULL, CONNECTORS)
        for kind in ("priorityclass", "runtimeclass"):
            world.kubectl.delete(kind, FULL)


def pod_with_every_field(world):
    """The pod of a sync whose profile has every field. What it names is there, and stays for those who make the pod anew."""
    for made in (
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": FULL}, "value": 100},
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": FULL}, "handler": "runc"},
        account(CONNECTORS),
    ):
        world.kubectl.apply(made)
    # Restarted workers know the profile at once.
    with world.installed_with(f"connectors.profiles={json.dumps({FULL: PROFILE})}", 'worker.podAnnotations={"profiles": "every field"}'):
        task = Job(world, "every field", settings={"profile": FULL}).sync()
        task.wait_for_end()
    pod = task.pods()[0]
    spec = pod.first["spec"]
    found = {
        "node_selector": spec.get("nodeSelector"), "affinity": spec.get("affinity"),
        "priority_class": spec.get("priorityClassName"), "runtime_class": spec.get("runtimeClassName"),
        "service_account": spec.get("serviceAccountName"), "user_id": spec["securityContext"]["runAsUser"],
        "pull_secrets": [one["name"] for one in spec.get("imagePullSecrets", [])],
    }
    equal(found, {key: PROFILE[key] for key in found}, "what the pod has of its profile")
    expect(PROFILE["tolerations"][0] in spec["tolerations"], f"the pod's tolerations: {spec['tolerations']}")
    return pod


def account(namespace):
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": FULL, "namespace": namespace}}


def shape(pod):
    """What makes a pod different from others: all but names, versions and amounts of an attempt."""
    kind = "difference" if "--difference" in pod.arguments else pod.arguments[0]
    spec = pod.first["spec"]
    containers = [container["name"] for container in [*spec.get("initContainers", []), *spec["containers"]]]
    return (kind, "--state" in pod.arguments, pod.connector["resources"]["limits"].get("memory"),
            str(spec.get("nodeSelector")), spec.get("priorityClassName"), str(containers), str(spec["securityContext"]),
            str([volume["name"] for volume in spec["volumes"]]))


def dry_run(world, pod):
    """What the API server says against it."""
    return world.kubectl.fails("create", "--namespace", RESTRICTED, "--dry-run=server", "--validate=strict",
                               "--warnings-as-errors", "--filename", "-", given=pod)


def manifest(pod):
    """The pod as it can be made anew elsewhere."""
    metadata, spec = pod.first["metadata"], {**pod.first["spec"]}
    spec.pop("nodeName", None)
    kept = {key: metadata[key] for key in ("name", "labels", "annotations", "finalizers") if key in metadata}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": kept, "spec": spec}


@scenario(ci=True)
def nothing_of_all_that_ran_is_left(world):
    world.wait_for_nothing_left(120)
