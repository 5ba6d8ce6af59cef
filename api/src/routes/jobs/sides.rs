//! The source and destination of a job that is written.

use olake_shared::{
    crypto::SecretError,
    store::{
        ProjectStore, StoreError,
        connections::{Connection, ConnectionInput, Side},
        jobs::{Job, JobInput, SideInput},
    },
};

use super::request::{JobBody, JobSide};
use crate::{context::Context, problem::Problem, routes::connections::known};

/// Checks the sides that a request gives in full: their connectors are known, and their tokens open. `current` is the job
/// that is replaced: the connectors that it has already are not asked again, since an edit must stay possible when the
/// workers have moved on.
///
/// # Errors
/// 400 naming the field, as `source.config.password`.
pub async fn check(
    context: &Context,
    project: &ProjectStore,
    input: &JobInput,
    current: Option<&Job>,
) -> Result<(), Problem> {
    let sides = [
        (Side::Source, &input.source, current.map(|job| &job.source)),
        (Side::Destination, &input.destination, current.map(|job| &job.destination)),
    ];
    for (side, given, now) in sides {
        let SideInput::Inline(given) = given else { continue };
        let at = format!("{}.", side.name());
        if !now.is_some_and(|now| is_same_connector(now, &given.connector_type, &given.version)) {
            known::check(context, side, given, &at).await?;
        }
        match project.seal_config(side, given).await {
            Err(StoreError::Secret(SecretError::Token { pointer })) => {
                let field = format!("{at}config{}", pointer.replace('/', "."));
                return Err(Problem::bad_request(field, "the sealed secret does not open here"));
            }
            other => other?,
        };
    }
    Ok(())
}

/// The sides of a request as they are echoed: as they were received, with their secrets as tokens.
pub async fn echo(project: &ProjectStore, body: &JobBody, job: &Job) -> (JobSide, JobSide) {
    let source = echo_side(project, Side::Source, &body.source, &job.source).await;
    let destination = echo_side(project, Side::Destination, &body.destination, &job.destination).await;
    (source, destination)
}

async fn echo_side(project: &ProjectStore, side: Side, received: &JobSide, stored: &Connection) -> JobSide {
    let Some(document) = received.received_config() else { return received.clone() };
    if !received.is_picked() {
        return received.clone().echo(&document.with_value(stored.config.clone()));
    }
    // What is ignored is sealed all the same: an answer holds no secret in clear.
    let ignored = ConnectionInput {
        name: stored.name.clone(),
        connector_type: stored.connector_type.clone(),
        version: stored.version.clone(),
        config: document.value().clone(),
    };
    match project.seal_config(side, &ignored).await {
        Ok(sealed) => received.clone().echo(&document.with_value(sealed)),
        // A token that does not open here was ignored, too: then what is stored is shown.
        Err(_) => received.clone().echo(&document.with_value(stored.config.clone())),
    }
}

fn is_same_connector(now: &Connection, connector_type: &str, version: &str) -> bool {
    now.connector_type == connector_type && now.version == version
}

/// Whether another request has just made a source or destination of the same name: a second try finds it, and takes it
/// if it is equal.
pub fn was_outrun<T>(written: &Result<T, StoreError>) -> bool {
    matches!(written, Err(StoreError::NameTaken { what, .. }) if *what != "job")
}
