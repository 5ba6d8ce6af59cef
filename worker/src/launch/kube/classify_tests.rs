//! Statuses as a kubelet and a control plane wrote them, and what they mean.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;

/// A pod with this status, on a node unless it says otherwise.
fn pod(status: Value) -> PodView {
    pod_with(json!({}), status)
}

fn pod_with(metadata: Value, status: Value) -> PodView {
    let node =
        if status["conditions"][0]["reason"] == "Unschedulable" { Value::Null } else { json!("node-1") };
    let pod = json!({"metadata": metadata, "spec": {"nodeName": node, "containers": []}, "status": status});
    PodView::of(&serde_json::from_value::<Pod>(pod).unwrap())
}

fn container(name: &str, state: Value) -> Value {
    json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn terminated(code: i32, reason: &str, message: &str) -> Value {
    let state = json!({"terminated": {"exitCode": code, "reason": reason, "message": message}});
    json!([container("connector", state)])
}

fn waiting(reason: &str, message: &str) -> Value {
    json!([container("connector", json!({"waiting": {"reason": reason, "message": message}}))])
}

fn agent(state: Value, started: bool) -> Value {
    let mut agent = container("agent", state);
    agent["started"] = json!(started);
    json!([agent])
}

fn running_agent() -> Value {
    agent(json!({"running": {"startedAt": "2026-11-24T10:00:00Z"}}), true)
}

/// Class and words of a bad end that the launcher knows more of; none when the exit code says it all.
fn told(seen: &Seen) -> Option<(FailureClass, &str, Option<i32>)> {
    match seen {
        Seen::Failed { class, why, exit_code, .. } => Some((*class, why, *exit_code)),
        _ => None,
    }
}

const RECORD: Known<'static> =
    Known { has_record: true, is_ours: false, memory: Some("64Mi"), can_grow: true };

#[test]
fn each_end_has_its_class_and_its_words() {
    use FailureClass::{Image, Infrastructure, OutOfMemory, Timeout};
    let condition = |reason: &str, message: &str| json!([{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}]);
    let cases = [
        (
            "killed for memory",
            json!({"phase": "Failed", "containerStatuses": terminated(137, "OOMKilled", "")}),
            (OutOfMemory, "64Mi", Some(137)),
        ),
        (
            "a child killed for memory, the first process ends with 0",
            json!({"phase": "Succeeded", "containerStatuses": terminated(0, "OOMKilled", "")}),
            (OutOfMemory, "64Mi", Some(0)),
        ),
        (
            "evicted for disk",
            json!({
                "phase": "Failed", "reason": "Evicted",
                "message": "Pod ephemeral local storage usage exceeds the total limit of containers 4Gi.",
                "containerStatuses": terminated(137, "ContainerStatusUnknown", "The container could not be located"),
            }),
            (Infrastructure, "usage exceeds the total limit", Some(137)),
        ),
        (
            "evicted before it ran",
            json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}),
            (Infrastructure, "low on resource: memory", None),
        ),
        (
            "drained",
            json!({
                "phase": "Failed", "conditions": condition("EvictionByEvictionAPI", "Eviction API: evicting"),
                "containerStatuses": terminated(143, "Error", ""),
            }),
            (Infrastructure, "as for the drain of its node", Some(143)),
        ),
        (
            "preempted by the scheduler",
            json!({
                "phase": "Failed",
                "conditions": condition("PreemptionByScheduler", "default-scheduler: preempting to accommodate"),
                "containerStatuses": terminated(143, "Error", ""),
            }),
            (Infrastructure, "a more important one", Some(143)),
        ),
        (
            "preempted by the kubelet",
            json!({"phase": "Failed", "reason": "Preempting", "message": "Preempted in order to admit critical pod"}),
            (Infrastructure, "a more important one", None),
        ),
        (
            "its node is gone",
            json!({
                "phase": "Failed",
                "conditions": condition("DeletionByPodGC", "PodGC: node no longer exists"),
                "containerStatuses": terminated(137, "ContainerStatusUnknown", "could not be located"),
            }),
            (Infrastructure, "node is gone", Some(137)),
        ),
        (
            "its node was shut down",
            json!({
                "phase": "Failed", "reason": "Terminated", "message": "Pod was terminated in response to imminent node shutdown.",
                "containerStatuses": terminated(143, "Error", ""),
            }),
            (Infrastructure, "imminent node shutdown", Some(143)),
        ),
        (
            "longer than the last net allows",
            json!({
                "phase": "Failed", "reason": "DeadlineExceeded",
                "message": "Pod was active on the node longer than the specified deadline",
                "containerStatuses": terminated(143, "Error", ""),
            }),
            (Timeout, "longer than the specified deadline", Some(143)),
        ),
        (
            "no such program",
            json!({
                "phase": "Failed",
                "containerStatuses": terminated(128, "StartError", "exec: \"./olake\": no such file or directory"),
            }),
            (Image, "no such file or directory", Some(128)),
        ),
        (
            "refused by the node",
            json!({"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected: Node didn't have enough resource"}),
            (Infrastructure, "OutOfcpu", None),
        ),
        (
            "nothing is said of the connector",
            json!({"phase": "Failed"}),
            (Infrastructure, "nothing is said", None),
        ),
    ];
    for (what, status, (class, words, code)) in cases {
        let pod = pod(status);
        assert_eq!(stage(&pod), Stage::Over, "{what}");
        let seen = end(&pod, RECORD);
        let (told_class, told_words, told_code) = told(&seen).unwrap_or_else(|| panic!("{what}: {seen:?}"));
        assert_eq!((told_class, told_code), (class, code), "{what}: {told_words}");
        assert!(told_words.contains(words), "{what}: {told_words}");
    }
}

#[test]
fn an_end_is_clean_only_with_exit_code_0_and_everything_that_was_left() {
    let status = json!({"phase": "Running", "containerStatuses": terminated(0, "Completed", "")});
    let pod = pod(status);
    assert_eq!(end(&pod, RECORD), Seen::Exit(Exit::Code(0)));
    let seen = end(&pod, Known { has_record: false, ..RECORD });
    let (class, words, code) = told(&seen).unwrap();
    assert_eq!((class, code), (FailureClass::Infrastructure, Some(0)));
    assert!(words.contains("did not arrive"), "{words}");
}

#[test]
fn an_exit_code_without_a_reason_is_the_connectors_own() {
    for code in [1, 2, 137] {
        let status = json!({"phase": "Running", "containerStatuses": terminated(code, "Error", "")});
        assert_eq!(end(&pod(status), RECORD), Seen::Exit(Exit::Code(code)));
    }
}

#[test]
fn a_pod_that_somebody_deleted_is_no_failure_of_the_connector_and_one_that_we_deleted_is_as_it_is() {
    let metadata = json!({"deletionTimestamp": "2026-11-24T10:00:00Z", "deletionGracePeriodSeconds": 120});
    let status = json!({"phase": "Failed", "containerStatuses": terminated(143, "Error", "")});
    let pod = pod_with(metadata.clone(), status);
    let (class, words, _) =
        told(&end(&pod, RECORD)).map(|(class, words, code)| (class, words.to_owned(), code)).unwrap();
    assert_eq!(class, FailureClass::Infrastructure);
    assert!(words.contains("deleted by somebody else"), "{words}");
    assert_eq!(end(&pod, Known { is_ours: true, ..RECORD }), Seen::Exit(Exit::Code(143)));
    let clean = json!({"phase": "Succeeded", "containerStatuses": terminated(0, "Completed", "")});
    assert_eq!(end(&pod_with(metadata, clean), RECORD), Seen::Exit(Exit::Code(0)), "it had just finished");
}

#[test]
fn want_of_memory_is_tried_again_only_where_there_is_more() {
    let pod = pod(json!({"phase": "Failed", "containerStatuses": terminated(137, "OOMKilled", "")}));
    for can_grow in [true, false] {
        let Seen::Failed { may_retry, why, .. } = end(&pod, Known { can_grow, ..RECORD }) else { panic!() };
        assert_eq!(may_retry, can_grow);
        assert_eq!(why.contains("kubernetes.memory_cap"), !can_grow, "{why}");
    }
}

#[test]
fn each_wait_is_for_something_and_says_what_is_wrong() {
    let unschedulable = json!([{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient memory.",
    }]);
    let closed = agent(json!({"running": {}}), false);
    let backing_off =
        agent(json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}), false);
    let refused = agent(
        json!({"terminated": {"exitCode": 1, "reason": "Error", "message": "another pod runs this attempt"}}),
        false,
    );
    let starting = json!([container("agent", json!({"waiting": {"reason": "PodInitializing"}}))]);
    let cases = [
        (
            "no node fits",
            json!({"phase": "Pending", "conditions": unschedulable}),
            WaitFor::Node,
            "Insufficient memory",
            false,
        ),
        (
            "no such image, to be fetched",
            json!({"phase": "Pending", "initContainerStatuses": running_agent(),
            "containerStatuses": waiting("ErrImagePull", "connection refused")}),
            WaitFor::Image,
            "connection refused",
            false,
        ),
        (
            "no such image, in back-off",
            json!({"phase": "Pending", "initContainerStatuses": running_agent(),
            "containerStatuses": waiting("ImagePullBackOff", "Back-off pulling image")}),
            WaitFor::Image,
            "Back-off",
            false,
        ),
        (
            "no such image, not to be fetched",
            json!({"phase": "Pending", "initContainerStatuses": running_agent(),
            "containerStatuses": waiting("ErrImageNeverPull", "is not present with pull policy of Never")}),
            WaitFor::Image,
            "not present",
            true,
        ),
        (
            "no name of an image",
            json!({"phase": "Pending", "initContainerStatuses": running_agent(),
            "containerStatuses": waiting("InvalidImageName", "couldn't parse image name")}),
            WaitFor::Image,
            "couldn't parse",
            true,
        ),
        (
            "a Secret is missing",
            json!({"phase": "Pending", "initContainerStatuses": running_agent(),
            "containerStatuses": waiting("CreateContainerConfigError", "secret \"x\" not found")}),
            WaitFor::Start,
            "secret",
            false,
        ),
        (
            "the agent comes again and again",
            json!({"phase": "Pending", "initContainerStatuses": backing_off,
            "containerStatuses": waiting("PodInitializing", "")}),
            WaitFor::Start,
            "CrashLoopBackOff",
            false,
        ),
        (
            "the agent was refused",
            json!({"phase": "Pending", "initContainerStatuses": refused,
            "containerStatuses": waiting("PodInitializing", "")}),
            WaitFor::Start,
            "another pod runs",
            false,
        ),
        (
            "its agent asks for the permit",
            json!({"phase": "Pending", "initContainerStatuses": closed,
            "containerStatuses": waiting("PodInitializing", "")}),
            WaitFor::Start,
            "",
            false,
        ),
        (
            "the connector's image comes",
            json!({"phase": "Pending", "initContainerStatuses": running_agent(),
            "containerStatuses": waiting("PodInitializing", "")}),
            WaitFor::Image,
            "",
            false,
        ),
        (
            "the agent's image comes",
            json!({"phase": "Pending", "initContainerStatuses": starting}),
            WaitFor::Image,
            "",
            false,
        ),
    ];
    for (what, status, for_what, words, hopeless) in cases {
        let Stage::Waiting(waiting) = stage(&pod(status)) else { panic!("{what}") };
        assert_eq!((waiting.for_what, waiting.is_hopeless), (for_what, hopeless), "{what}: {waiting:?}");
        match (words, waiting.why) {
            ("", why) => assert_eq!(why, None, "{what}"),
            (words, why) => assert!(why.as_deref().is_some_and(|why| why.contains(words)), "{what}: {why:?}"),
        }
    }
}

#[test]
fn a_deletion_alone_is_no_end() {
    let metadata = json!({"deletionTimestamp": "2026-11-24T10:00:00Z", "deletionGracePeriodSeconds": 0});
    let running = json!([container("connector", json!({"running": {"startedAt": "2026-11-24T10:00:00Z"}}))]);
    let pod = pod_with(metadata, json!({"phase": "Running", "containerStatuses": running}));
    assert_eq!(stage(&pod), Stage::Running(Some(1_795_514_400)));
}

#[test]
fn a_sidecar_that_never_ends_holds_nothing_up() {
    let mut containers = terminated(0, "Completed", "");
    containers.as_array_mut().unwrap().push(container("mesh", json!({"running": {}})));
    let pod = pod(json!({"phase": "Running", "containerStatuses": containers, "initContainerStatuses":
        agent(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}), false)}));
    assert_eq!(stage(&pod), Stage::Over);
    assert!(pod.is_agent_over());
}

#[test]
fn a_lost_node_is_no_end_and_is_told_apart_from_a_pod_that_is_not_ready() {
    let running = json!([container("connector", json!({"running": {}}))]);
    let status = |ready: &str, containers: &str, reason: &str| {
        json!({"phase": "Running", "containerStatuses": running, "conditions": [
            {"type": "Ready", "status": ready, "reason": reason},
            {"type": "ContainersReady", "status": containers},
        ]})
    };
    assert_eq!(stage(&pod(status("False", "True", ""))), Stage::Unreachable);
    let taken = json!({"phase": "Running", "containerStatuses": running, "reason": "NodeLost"});
    assert_eq!(stage(&pod(taken)), Stage::Unreachable);
    for (ready, containers, reason) in [
        ("True", "True", ""),
        ("False", "False", "ContainersNotReady"),
        ("False", "True", "ReadinessGatesNotReady"),
    ] {
        assert_eq!(
            stage(&pod(status(ready, containers, reason))),
            Stage::Running(None),
            "{ready} {containers}"
        );
    }
}
