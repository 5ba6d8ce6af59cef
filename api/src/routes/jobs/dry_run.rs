//! Asks a worker whether a job's connector would be taken where it is to run: a `validate` task, which starts none.
//!
//! Only a refusal keeps a job from being saved. No answer in time, or a question that could not be asked, does not: what the
//! workers' rows say is enough then, and the log says so.

use olake_shared::{
    domain::{
        settings::AdvancedSettings,
        task::{FailureClass, TaskStatus},
    },
    store::{ProjectStore, tasks::input::OneShot, workers::RunnableConnector},
};

use crate::{
    context::Context,
    interactive::{self, Call, Finished, Outcome},
    problem::Problem,
};

/// What is asked for.
#[derive(Debug)]
pub struct Question<'a> {
    pub connector: &'a RunnableConnector,
    /// What the job is to have.
    pub settings: AdvancedSettings,
    /// The settings that the request sets anew: one of them is to blame.
    pub anew: &'a [&'static str],
    /// Who asks.
    pub user: i64,
}

/// Asks, and waits for the answer.
///
/// # Errors
/// 400 naming the setting, with the words of the refusal.
pub async fn check(context: &Context, project: &ProjectStore, question: Question<'_>) -> Result<(), Problem> {
    let Question { connector, settings, anew, user } = question;
    let call = Call {
        connector_type: &connector.connector_type,
        version: &connector.version,
        input: OneShot::Validate { settings },
        user,
        respond_async: false,
    };
    let why = match interactive::run(context, project, call).await {
        Ok(Outcome::Ended(finished)) if finished.task.status == TaskStatus::Succeeded => return Ok(()),
        Ok(Outcome::Ended(finished)) if is_refused(&finished) => {
            let words = finished.failure();
            let reason = format!("its connectors would not be taken where they are to run: {words}");
            return Err(Problem::bad_request(
                format!("advanced_settings.{}", to_blame(anew, &words)),
                reason,
            ));
        }
        Ok(Outcome::Ended(finished)) => finished.failure(),
        Ok(Outcome::Accepted(task)) => format!("task {task} was not waited for"),
        Err(problem) => format!("{problem:?}"),
    };
    tracing::warn!(
        settings = anew.join(", "),
        why,
        "a job is saved although it is not known whether its connectors would be taken where they are to run"
    );
    Ok(())
}

/// Whether the task says no, and would say so again.
fn is_refused(finished: &Finished) -> bool {
    let class = finished.task.failure_class.as_deref();
    finished.task.status == TaskStatus::Failed && class == Some(FailureClass::Unschedulable.as_str())
}

/// The setting that a refusal speaks of.
fn to_blame(anew: &[&'static str], words: &str) -> &'static str {
    match anew {
        [only] => only,
        _ if words.contains("memory") => "max_memory",
        _ => "profile",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_setting_that_is_new_and_of_two_the_one_that_it_speaks_of() {
        let (both, limit) =
            (["max_memory", "profile"], "maximum memory usage per Pod is 4Gi, but limit is 8Gi");
        assert_eq!(to_blame(&["profile"], limit), "profile");
        assert_eq!(to_blame(&["max_memory"], "no PriorityClass with name gold was found"), "max_memory");
        assert_eq!(to_blame(&both, limit), "max_memory");
        assert_eq!(to_blame(&both, "no PriorityClass with name gold was found"), "profile");
    }
}
