//! The settings of a job that only some launchers honour: its limit of memory, and its placement profile.

use olake_shared::{
    domain::{quantity, settings::AdvancedSettings},
    store::workers::Runs,
};
use serde_json::{Map, Value};

use crate::{context::Context, problem::Problem};

/// Checks those that a request sets anew. `current` are the job's: what it has already is not asked again, since an edit
/// must stay possible when the workers have moved on.
///
/// # Errors
/// 400 naming the setting, when it makes no sense or no live worker honours it.
pub async fn check(
    context: &Context,
    patch: Option<&Map<String, Value>>,
    current: Option<&AdvancedSettings>,
) -> Result<(), Problem> {
    let given = |name: &str, now: Option<&String>| {
        let text = patch?.get(name)?.as_str().filter(|text| !text.is_empty())?;
        (Some(text) != now.map(String::as_str)).then(|| text.to_owned())
    };
    let memory = given("max_memory", current.and_then(|settings| settings.max_memory.as_ref()));
    let profile = given("profile", current.and_then(|settings| settings.profile.as_ref()));
    if memory.is_none() && profile.is_none() {
        return Ok(());
    }
    let runs = context.store.live_runs().await?.unwrap_or_default();
    check_against(&runs, memory.as_deref(), profile.as_deref())
}

fn check_against(runs: &Runs, memory: Option<&str>, profile: Option<&str>) -> Result<(), Problem> {
    let refused =
        |name: &str, reason: String| Problem::bad_request(format!("advanced_settings.{name}"), reason);
    if let Some(memory) = memory {
        let asked = quantity::bytes(memory).map_err(|error| refused("max_memory", error.to_string()))?;
        let Some(most) = runs.memory else {
            let reason =
                "no worker that is up can limit memory (the process launcher cannot): leave it out, or null";
            return Err(refused("max_memory", reason.to_owned()));
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
            format!("no worker that is up has a profile '{shown}'; known are {known}"),
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
