//! What the end of a connector means for its task.

use olake_shared::{
    domain::task::{FailureClass, TaskKind},
    store::{
        specs::SpecKey,
        tasks::{
            Failure,
            claim::{Claimed, Work},
            end::Outcome,
            input::{OneShot, OneShotResult},
        },
    },
};

use super::running::StopReason;
use crate::{
    connector::result::{CheckStatus, Exit, Findings},
    launch::Seen,
};

/// What a task came to.
pub struct Meaning {
    pub outcome: Outcome,
    pub result: Option<OneShotResult>,
    pub spec: Option<(SpecKey, String)>,
}

impl Meaning {
    fn clean(result: Option<OneShotResult>) -> Self {
        Self { outcome: Outcome::Clean, result, spec: None }
    }

    fn bad(class: FailureClass, message: impl Into<String>, exit: Option<Exit>) -> Self {
        let exit_code = match exit {
            Some(Exit::Code(code)) => Some(code),
            _ => None,
        };
        let failure = Failure { class, message: message.into(), exit_code };
        Self { outcome: Outcome::Bad(failure), result: None, spec: None }
    }
}

/// Decides what the end means; `catalog` is the file that the kind's result is. A connector that ended well has ended well, whatever was wished meanwhile.
pub fn interpret(
    task: &Claimed,
    seen: &Seen,
    stopped: Option<StopReason>,
    findings: &Findings,
    catalog: Option<&str>,
) -> Meaning {
    let exit = match seen {
        Seen::Exit(exit) => Some(*exit),
        _ => None,
    };
    if exit != Some(Exit::Code(0))
        && let Some(reason) = stopped
    {
        return stopped_meaning(reason, exit);
    }
    let exit = match seen {
        Seen::NotStarted(class, why) => return Meaning::bad(*class, why.as_str(), None),
        Seen::Failed { class, why, exit_code, .. } => {
            let words = format!("{why}{}", findings.last_lines());
            return Meaning::bad(*class, words, exit_code.map(Exit::Code));
        }
        Seen::Vanished => {
            let words = "the connector's end was not seen: it or its supervisor was killed from outside";
            return Meaning::bad(FailureClass::Infrastructure, words, None);
        }
        Seen::Exit(exit) => *exit,
    };
    let explained =
        |failure: crate::connector::result::Failure| Meaning::bad(failure.class, failure.message, Some(exit));
    match task.kind {
        TaskKind::Sync | TaskKind::Clear if exit == Exit::Code(0) => Meaning::clean(None),
        TaskKind::Sync | TaskKind::Clear => explained(findings.explain(exit)),
        TaskKind::Check => match findings.check(exit) {
            Ok(check) => Meaning::clean(Some(OneShotResult::Check {
                succeeded: check.status == CheckStatus::Succeeded,
                message: check.message.unwrap_or_default(),
            })),
            Err(failure) => explained(failure),
        },
        TaskKind::Discover => match findings.catalog(exit, catalog) {
            Ok(catalog) => Meaning::clean(Some(OneShotResult::Discover { catalog })),
            Err(failure) => explained(failure),
        },
        TaskKind::Difference => match findings.difference(exit, catalog) {
            Ok(catalog) => Meaning::clean(Some(OneShotResult::Difference { catalog })),
            Err(failure) => explained(failure),
        },
        // No connector runs for it: see [`super::validate`].
        TaskKind::Validate => {
            Meaning::bad(FailureClass::Infrastructure, "a connector was started for it", None)
        }
        TaskKind::Spec => match findings.spec(exit).map(|spec| serde_json::to_string(&spec)) {
            Ok(Ok(spec)) => {
                let destination_type = match &task.work {
                    Work::OneShot(OneShot::Spec { destination_type }) => destination_type.clone(),
                    _ => None,
                };
                let key = SpecKey {
                    connector_type: task.connector_type.clone(),
                    version: task.connector_version.clone(),
                    destination_type,
                };
                Meaning {
                    spec: Some((key, spec.clone())),
                    ..Meaning::clean(Some(OneShotResult::Spec { spec }))
                }
            }
            Ok(Err(error)) => Meaning::bad(FailureClass::Connector, error.to_string(), Some(exit)),
            Err(failure) => explained(failure),
        },
    }
}

/// What a stop means for an attempt that did not end well before.
pub fn stopped_meaning(reason: StopReason, exit: Option<Exit>) -> Meaning {
    match reason {
        StopReason::Cancelled => Meaning::bad(FailureClass::Cancelled, "cancelled", exit),
        StopReason::Deadline => {
            let words = "it ran longer than its deadline and was stopped; a longer one can be set where deadlines are configured";
            Meaning::bad(FailureClass::Timeout, words, exit)
        }
        StopReason::Broken => {
            Meaning::bad(FailureClass::Infrastructure, "what the connector left could not be stored", exit)
        }
        StopReason::Forced => {
            Meaning::bad(FailureClass::Infrastructure, "ended by force: its node is lost", exit)
        }
        StopReason::Shutdown | StopReason::Fenced => Meaning {
            outcome: Outcome::Interrupted(
                "the worker was stopped; the task goes on from its last state".to_owned(),
            ),
            result: None,
            spec: None,
        },
    }
}
