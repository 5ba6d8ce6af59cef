//! What a pod's status means for the attempt: where its start stands, and how it ended. Pure functions of what was seen.
//!
//! Invariants: an attempt is over when the connector's container has terminated or the pod is terminal, never by a deletion
//! alone; the pod's own reason goes before its container's (an evicted pod's containers have made-up ends); a reason goes
//! before an exit code (a child that is killed for memory leaves 0).
//!
//! To add a reason: a case here, and a line in the table of the tests.

use olake_shared::domain::task::{FailureClass, TaskPhase};

use super::view::{Container, End, PodView};
use crate::{connector::result::Exit, launch::Seen};

/// Where an attempt stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// It waits for its start.
    Waiting(Waiting),
    /// Its connector runs, since so many seconds after 1970.
    Running(Option<i64>),
    /// Its node is not heard of.
    Unreachable,
    /// It is over.
    Over,
}

/// A wait for the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub for_what: WaitFor,
    /// What is wrong, for a person; none while it is as usual.
    pub why: Option<String>,
    /// Whether more time changes nothing.
    pub is_hopeless: bool,
}

/// What a start waits for. Each has a deadline of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    Node,
    Image,
    Start,
    /// What the connector is to be given.
    Inputs,
}

impl WaitFor {
    /// What the task shows.
    pub fn phase(self) -> TaskPhase {
        match self {
            Self::Node => TaskPhase::Scheduling,
            Self::Image => TaskPhase::Pulling,
            Self::Start | Self::Inputs => TaskPhase::Starting,
        }
    }

    /// What it is when it took too long.
    pub fn class(self) -> FailureClass {
        match self {
            Self::Node => FailureClass::Unschedulable,
            Self::Image => FailureClass::Image,
            Self::Start => FailureClass::Infrastructure,
            // As for a task that cannot be prepared: somebody has to mend it.
            Self::Inputs => FailureClass::Connector,
        }
    }
}

/// Where the attempt of a pod stands.
pub fn stage(pod: &PodView) -> Stage {
    if pod.is_over() {
        return Stage::Over;
    }
    if pod.is_unreachable {
        return Stage::Unreachable;
    }
    if let Container::Running(since) = pod.connector {
        return Stage::Running(since);
    }
    let plain = |for_what| Stage::Waiting(Waiting { for_what, why: None, is_hopeless: false });
    if !pod.is_scheduled && pod.node.is_none() {
        let why = pod.unschedulable.clone();
        return Stage::Waiting(Waiting { for_what: WaitFor::Node, why, is_hopeless: false });
    }
    if let Some(words) = &pod.unreadable {
        let why = Some(words.clone()).filter(|words| !words.is_empty());
        return Stage::Waiting(Waiting { for_what: WaitFor::Inputs, why, is_hopeless: true });
    }
    for (what, container) in [("connector", &pod.connector), ("agent", &pod.agent)] {
        match container {
            Container::Waiting(reason, message) => {
                if let Some(waiting) = waiting(what, reason, message) {
                    return Stage::Waiting(waiting);
                }
            }
            // It is started again with back-off: before the connector runs, since it may not start, or cannot.
            Container::Terminated(end) if what == "agent" => {
                let why =
                    format!("the agent ended with exit code {} ({}): {}", end.code, end.reason, end.message);
                return Stage::Waiting(Waiting {
                    for_what: WaitFor::Start,
                    why: Some(why),
                    is_hopeless: false,
                });
            }
            _ => {}
        }
    }
    match &pod.agent {
        // It asks for its permit, or lays out the inputs.
        Container::Running(_) if !pod.is_open => plain(WaitFor::Start),
        // The image of what is started next is being fetched, or a volume mounted: nothing is said of that.
        _ => plain(WaitFor::Image),
    }
}

/// What a waiting container waits for; none when its reason says nothing.
fn waiting(what: &str, reason: &str, message: &str) -> Option<Waiting> {
    let (for_what, is_hopeless) = match reason {
        "InvalidImageName" | "ErrImageNeverPull" => (WaitFor::Image, true),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => (WaitFor::Image, false),
        "" | "PodInitializing" | "ContainerCreating" => return None,
        // CreateContainerConfigError, CreateContainerError, RunContainerError, PostStartHookError, CrashLoopBackOff and
        // whatever else there is.
        _ => (WaitFor::Start, false),
    };
    let why = match message.trim() {
        "" => format!("the {what}'s container: {reason}"),
        words => format!("the {what}'s container: {reason}: {words}"),
    };
    Some(Waiting { for_what, why: Some(why), is_hopeless })
}

/// What is known of an end beside the pod.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// Whether what the connector left is known as a whole.
    pub has_record: bool,
    /// Whether we have deleted the pod.
    pub is_ours: bool,
    /// The limit of the connector's memory, in words.
    pub memory: Option<&'a str>,
    /// Whether another attempt would get more of it.
    pub can_grow: bool,
}

/// How the attempt of a pod ended that is over.
pub fn end(pod: &PodView, known: Known<'_>) -> Seen {
    let container = match &pod.connector {
        Container::Terminated(end) => Some(end),
        _ => None,
    };
    let code = container.map(|end| end.code);
    let failed = |class, why: String| Seen::Failed { class, why, exit_code: code, may_retry: true };
    let infrastructure = |why: String| failed(FailureClass::Infrastructure, why);
    if let Some(reason) = pod.reason.as_deref()
        && !(pod.phase == "Succeeded" && known.has_record)
    {
        let words = with_words(pod.message.as_deref());
        match reason {
            "Evicted" => return infrastructure(format!("the pod was evicted from its node{words}")),
            "Preempting" | "Preempted" => {
                return infrastructure(format!("the pod had to make room for a more important one{words}"));
            }
            "DeadlineExceeded" => {
                let why = format!("the pod ran longer than Kubernetes was told to allow{words}");
                return failed(FailureClass::Timeout, why);
            }
            "NodeLost" | "NodeShutdown" | "Terminated" | "Shutdown" => {
                return infrastructure(format!("the pod's node was shut down or lost ({reason}){words}"));
            }
            _ if container.is_none() => {
                return infrastructure(format!(
                    "the pod was ended before its connector ran: {reason}{words}"
                ));
            }
            _ => {}
        }
    }
    let Some(container) = container else {
        return infrastructure("the pod has ended, and nothing is said of its connector".to_owned());
    };
    let is_clean = container.code == 0 && known.has_record;
    match container.reason.as_str() {
        "OOMKilled" => return out_of_memory(container, known),
        "StartError" | "ContainerCannotRun" => {
            let why =
                format!("the connector's program cannot be started{}", with_words(Some(&container.message)));
            return failed(FailureClass::Image, why);
        }
        "ContainerStatusUnknown" if !is_clean => {
            return infrastructure(disrupted(pod).unwrap_or_else(|| {
                format!("the connector's end was not seen{}", with_words(Some(&container.message)))
            }));
        }
        _ => {}
    }
    if is_clean {
        return Seen::Exit(Exit::Code(0));
    }
    if container.code == 0 {
        let why = "the connector ended with exit code 0, but what it left did not arrive: its last state may be missing";
        return infrastructure(why.to_owned());
    }
    if !known.is_ours {
        if let Some(why) = disrupted(pod) {
            return infrastructure(why);
        }
        if pod.deletion.is_some() {
            return infrastructure("the pod was deleted by somebody else while its connector ran".to_owned());
        }
    }
    Seen::Exit(Exit::Code(container.code))
}

/// What disrupted a pod from outside.
fn disrupted(pod: &PodView) -> Option<String> {
    let (reason, message) = pod.disruption.as_ref()?;
    let what = match reason.as_str() {
        "EvictionByEvictionAPI" => "the pod was evicted, as for the drain of its node",
        "PreemptionByScheduler" => "the pod had to make room for a more important one",
        "DeletionByTaintManager" => "the pod's node was not heard of, or is not to run it any more",
        "DeletionByPodGC" => "the pod's node is gone",
        "TerminationByKubelet" => "the pod's node was shut down, or needed its resources for others",
        _ => "the pod was disrupted",
    };
    Some(format!("{what} ({reason}){}", with_words(Some(message))))
}

fn out_of_memory(container: &End, known: Known<'_>) -> Seen {
    let limit = known.memory.map(|limit| format!(" than its limit of {limit}")).unwrap_or_default();
    let hint = match known.can_grow {
        true => "Give the job more (advanced_settings.max_memory), or fewer threads",
        false => "That is the most that is configured (kubernetes.memory_cap): let it use fewer threads",
    };
    Seen::Failed {
        class: FailureClass::OutOfMemory,
        why: format!("the connector needed more memory{limit}, and was killed. {hint}"),
        exit_code: Some(container.code),
        may_retry: known.can_grow,
    }
}

fn with_words(words: Option<&str>) -> String {
    match words.map(str::trim) {
        None | Some("") => String::new(),
        Some(words) => format!(": {words}"),
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
