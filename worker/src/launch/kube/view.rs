//! What matters of a pod: a pod has some ten kilobytes, and a worker watches over a thousand.

use k8s_openapi::{
    api::core::v1::{ContainerState, ContainerStatus, Pod, PodCondition, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};

use olake_shared::domain::task::FailureClass;

use super::{
    names::STOPPED_FOR,
    shape::{AGENT, CONNECTOR},
};
use crate::agent::sidecar;

/// A pod as it was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodView {
    pub name: String,
    pub uid: String,
    pub node: Option<String>,
    /// When it was made, in seconds since 1970.
    pub created: Option<i64>,
    /// Whether it is being deleted, and with how many seconds of grace.
    pub deletion: Option<i64>,
    /// When that grace is over, in seconds since 1970.
    pub deletion_due: Option<i64>,
    /// What a worker has told it to stop for.
    pub stopped_for: Option<FailureClass>,
    pub phase: String,
    pub reason: Option<String>,
    pub message: Option<String>,
    /// Why it is not on a node, if that is said.
    pub unschedulable: Option<String>,
    /// Whether it is on a node.
    pub is_scheduled: bool,
    /// The reason and words of a disruption from outside.
    pub disruption: Option<(String, String)>,
    /// Whether its node is not heard of.
    pub is_unreachable: bool,
    pub connector: Container,
    pub agent: Container,
    /// Whether the agent has let the connector start.
    pub is_open: bool,
    /// Why the agent has ended before that, in its own words, if it was for good: the inputs cannot be read.
    pub unreadable: Option<String>,
}

/// A container as it was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Container {
    /// Nothing is said of it.
    #[default]
    Unknown,
    /// It waits: the reason, and words.
    Waiting(String, String),
    /// It runs, since so many seconds after 1970.
    Running(Option<i64>),
    /// It has ended.
    Terminated(End),
}

/// The end of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    pub code: i32,
    pub reason: String,
    pub message: String,
}

impl PodView {
    /// What matters of a pod.
    pub fn of(pod: &Pod) -> Self {
        let (meta, status) = (&pod.metadata, pod.status.clone().unwrap_or_default());
        let condition = |name: &str| condition(&status, name);
        let scheduled = condition("PodScheduled");
        let words = |condition: &PodCondition| {
            (condition.reason.clone().unwrap_or_default(), condition.message.clone().unwrap_or_default())
        };
        let connector = container(status.container_statuses.as_ref(), CONNECTOR);
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            created: meta.creation_timestamp.as_ref().map(seconds),
            deletion: meta
                .deletion_timestamp
                .as_ref()
                .map(|_| meta.deletion_grace_period_seconds.unwrap_or_default()),
            deletion_due: meta.deletion_timestamp.as_ref().map(seconds),
            stopped_for: meta
                .annotations
                .as_ref()
                .and_then(|all| all.get(STOPPED_FOR)?.parse().ok())
                .filter(|_| meta.deletion_timestamp.is_some()),
            phase: status.phase.clone().unwrap_or_default(),
            reason: status.reason.clone(),
            message: status.message.clone(),
            unschedulable: scheduled.filter(|at| at.status == "False").map(|at| {
                let (reason, message) = words(at);
                if message.is_empty() { reason } else { message }
            }),
            is_scheduled: scheduled.is_some_and(|at| at.status == "True"),
            disruption: condition("DisruptionTarget").filter(|at| at.status == "True").map(words),
            is_unreachable: is_unreachable(&status, &connector),
            is_open: status.init_container_statuses.as_ref().is_some_and(|statuses| {
                statuses.iter().any(|status| status.name == AGENT && status.started == Some(true))
            }),
            agent: container(status.init_container_statuses.as_ref(), AGENT),
            unreadable: status.init_container_statuses.as_deref().and_then(unreadable),
            connector,
        }
    }

    /// Whether nothing of the connector lives any more, by what is seen of the pod.
    pub fn is_over(&self) -> bool {
        matches!(self.connector, Container::Terminated(_)) || self.is_terminal()
    }

    /// Whether the connector has run, by how it ended: the end of one that never did is made up.
    pub fn has_run(&self) -> bool {
        match &self.connector {
            Container::Terminated(end) => {
                !["ContainerStatusUnknown", "StartError", "ContainerCannotRun"].contains(&end.reason.as_str())
            }
            _ => false,
        }
    }

    /// The end of what the connector has printed, which Kubernetes keeps of one that ended badly.
    pub fn last_words(&self) -> Option<&str> {
        match &self.connector {
            Container::Terminated(end) if end.code != 0 && self.has_run() => {
                Some(end.message.as_str()).filter(|words| !words.trim().is_empty())
            }
            _ => None,
        }
    }

    /// Whether all of the pod has ended.
    pub fn is_terminal(&self) -> bool {
        self.phase == "Succeeded" || self.phase == "Failed"
    }

    /// Whether the agent tells nothing any more.
    pub fn is_agent_over(&self) -> bool {
        self.is_terminal() || self.is_over() && matches!(self.agent, Container::Terminated(_))
    }
}

/// The node's lease ran out: the control plane then marks the pod as not ready, although its containers, of which nobody
/// has told anything since, are. (A kubelet that lives says both together.)
fn is_unreachable(status: &PodStatus, connector: &Container) -> bool {
    if status.reason.as_deref() == Some("NodeLost") || status.phase.as_deref() == Some("Unknown") {
        return true;
    }
    let is = |name: &str, word: &str| condition(status, name).is_some_and(|at| at.status == word);
    let by_gates =
        condition(status, "Ready").is_some_and(|at| at.reason.as_deref() == Some("ReadinessGatesNotReady"));
    matches!(connector, Container::Running(_))
        && is("Ready", "False")
        && is("ContainersReady", "True")
        && !by_gates
}

fn condition<'a>(status: &'a PodStatus, name: &str) -> Option<&'a PodCondition> {
    status.conditions.as_ref()?.iter().find(|condition| condition.type_ == name)
}

fn container(statuses: Option<&Vec<ContainerStatus>>, name: &str) -> Container {
    let Some(state) = statuses
        .and_then(|statuses| statuses.iter().find(|status| status.name == name))
        .and_then(|status| status.state.as_ref())
    else {
        return Container::Unknown;
    };
    match state {
        ContainerState { terminated: Some(end), .. } => Container::Terminated(End {
            code: end.exit_code,
            reason: end.reason.clone().unwrap_or_default(),
            message: end.message.clone().unwrap_or_default(),
        }),
        ContainerState { running: Some(running), .. } => {
            Container::Running(running.started_at.as_ref().map(seconds))
        }
        ContainerState { waiting: Some(waiting), .. } => Container::Waiting(
            waiting.reason.clone().unwrap_or_default(),
            waiting.message.clone().unwrap_or_default(),
        ),
        _ => Container::Unknown,
    }
}

/// The last words of an agent whose connector's inputs cannot be read. One that runs again may have got them since.
fn unreadable(statuses: &[ContainerStatus]) -> Option<String> {
    let status = statuses.iter().find(|status| status.name == AGENT)?;
    let now = status.state.as_ref().filter(|state| state.running.is_none())?;
    let before = status.last_state.as_ref().and_then(|last| last.terminated.as_ref());
    let end =
        now.terminated.as_ref().or(before).filter(|end| end.exit_code == i32::from(sidecar::UNREADABLE))?;
    let lines = end.message.as_deref().unwrap_or_default();
    let last = lines.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Some(last.strip_prefix(sidecar::SPEAKER).unwrap_or(last).trim().to_owned())
}

fn seconds(time: &Time) -> i64 {
    time.0.as_second()
}
