//! The settings of a job that only some launchers honour: its limit of memory, and its placement profile.

use olake_shared::{
    domain::{quantity, settings::AdvancedSettings},
    store::{
        ProjectStore, StoreError,
        connections::Side,
        jobs::{Job, JobInput, SideInput},
        workers::{RunnableConnector, Runs},
    },
};

use super::dry_run::{self, Question};
use crate::{context::Context, problem::Problem};

/// Checks those that a request sets anew: against what the rows of the workers say, and then, where connectors are images, by
/// a question to Kubernetes. `current` is the job that is replaced: what it has already is not asked again, since an edit
/// must stay possible when the workers have moved on.
///
/// # Errors
/// 400 naming the setting, when it makes no sense, the live workers do not honour it, or its pods would be refused.
pub async fn check(
    context: &Context,
    project: &ProjectStore,
    user: i64,
    input: &JobInput,
    current: Option<&Job>,
) -> Result<(), Problem> {
    let Some(patch) = &input.advanced_settings else { return Ok(()) };
    let current = current.map(|job| job.advanced_settings.clone()).unwrap_or_default();
    let mut wanted = current.patched(patch).map_err(|error| {
        let field = format!("advanced_settings.{}", error.field);
        Problem::bad_request(field, error.reason)
    })?;
    let memory = wanted.max_memory.as_deref().filter(|_| wanted.max_memory != current.max_memory);
    let profile = wanted.profile.as_deref().filter(|_| wanted.profile != current.profile);
    let anew: Vec<_> = [("max_memory", memory), ("profile", profile)]
        .iter()
        .filter_map(|(name, new)| new.map(|_| *name))
        .collect();
    if anew.is_empty() {
        return Ok(());
    }
    let Some(runs) = context.store.live_runs().await? else {
        // While no worker is live everything is taken that makes sense: a task says later what does not do.
        return memory.map_or(Ok(()), |memory| bytes(memory).map(|_| ()));
    };
    check_against(&runs, memory, profile)?;
    if runs.images.is_empty() {
        return Ok(());
    }
    let Some(connector) = connector(project, &runs, &input.source).await? else { return Ok(()) };
    leave_out_what_is_not_new(&mut wanted, &anew);
    dry_run::check(context, project, Question { connector: &connector, settings: wanted, anew: &anew, user })
        .await
}

/// The connector of a job's source; none when no live worker runs it, or there is no such source: then there is nothing to ask,
/// and whoever writes the job says what is wrong with it.
async fn connector(
    project: &ProjectStore,
    runs: &Runs,
    source: &SideInput,
) -> Result<Option<RunnableConnector>, Problem> {
    match source {
        SideInput::Inline(given) => Ok(runs.connector(&given.connector_type, &given.version)),
        SideInput::Existing(id) => match project.connection(Side::Source, *id).await {
            Ok(source) => Ok(runs.connector(&source.connector_type, &source.version)),
            Err(StoreError::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        },
    }
}

/// What the job has had before is not what this request is about, whatever became of it since.
fn leave_out_what_is_not_new(wanted: &mut AdvancedSettings, anew: &[&str]) {
    wanted.profile = wanted.profile.take().filter(|_| anew.contains(&"profile"));
    wanted.max_memory = wanted.max_memory.take().filter(|_| anew.contains(&"max_memory"));
}

fn refused(name: &str, reason: impl AsRef<str>) -> Problem {
    Problem::bad_request(format!("advanced_settings.{name}"), reason)
}

fn bytes(memory: &str) -> Result<u64, Problem> {
    quantity::bytes(memory).map_err(|error| refused("max_memory", error.to_string()))
}

fn check_against(runs: &Runs, memory: Option<&str>, profile: Option<&str>) -> Result<(), Problem> {
    if let Some(memory) = memory {
        let asked = bytes(memory)?;
        let Some(most) = runs.memory else {
            let reason =
                "no worker that is up can limit memory (the process launcher cannot): leave it out, or null";
            return Err(refused("max_memory", reason));
        };
        if asked > most {
            let reason = format!("a connector gets {} at most", quantity::shown(most));
            return Err(refused("max_memory", reason));
        }
    }
    if let Some(profile) = profile.filter(|name| !runs.profiles.iter().any(|known| known == name)) {
        let known = match runs.profiles.as_slice() {
            [] => "none: leave it out, or null".to_owned(),
            known => known.join(", "),
        };
        let shown: String = profile.chars().take(100).collect();
        return Err(refused(
            "profile",
            format!("not all workers that are up have a profile '{shown}'; known are {known}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_live_worker_honours_is_taken_and_the_rest_refused() {
        let runs = Runs { memory: Some(2 << 30), profiles: vec!["large".to_owned()], ..Runs::default() };
        assert!(check_against(&runs, Some("1Gi"), Some("large")).is_ok());
        assert!(check_against(&runs, Some("lots"), None).is_err());
        assert!(check_against(&runs, Some("2Gi"), None).is_ok());
        assert!(check_against(&runs, Some("900Gi"), None).is_err());
        assert!(check_against(&runs, None, Some("huge")).is_err());
        assert!(check_against(&Runs::default(), Some("1Gi"), None).is_err());
        assert!(check_against(&Runs::default(), None, Some("large")).is_err());
    }
}
