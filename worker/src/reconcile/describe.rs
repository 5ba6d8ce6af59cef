//! What a claimed task asks of its connector: the request, with the configs opened.

use std::time::Duration;

use olake_shared::{
    domain::{project::ProjectId, task::FailureClass},
    store::{
        connections::Side,
        tasks::{
            Failure, Queue,
            claim::{Claimed, Work},
            input::OneShot,
        },
    },
};
use serde_json::Value;

use super::redact::Redactor;
use crate::{
    connector::{
        command::Request,
        state::{StateText, parse_state},
    },
    launch::{Launch, Placement},
};

/// A claimed task, ready to be launched.
pub struct Described {
    pub launch: Launch,
    /// Knows every secret that the connector is given.
    pub redactor: Redactor,
}

/// Opens the configs of a task and says what its connector is to do. How long it may run is left open.
///
/// # Errors
/// A failure in words, when a secret does not open or a stored state is broken.
pub fn describe(queue: &Queue, task: &Claimed) -> Result<Described, Failure> {
    let mut redactor = Redactor::default();
    let request = match &task.work {
        Work::OneShot(OneShot::Spec { destination_type }) => {
            Request::Spec { destination_type: destination_type.clone() }
        }
        Work::OneShot(OneShot::Check { side: Side::Source, config }) => {
            Request::CheckSource { config: open(queue, &task.project, Side::Source, config, &mut redactor)? }
        }
        Work::OneShot(OneShot::Check { side: Side::Destination, config }) => Request::CheckDestination {
            config: open(queue, &task.project, Side::Destination, config, &mut redactor)?,
        },
        Work::OneShot(OneShot::Discover {
            config,
            max_discover_threads,
            catalog,
            destination_database_prefix,
        }) => Request::Discover {
            config: open(queue, &task.project, Side::Source, config, &mut redactor)?,
            catalog: catalog.clone(),
            destination_database_prefix: destination_database_prefix.clone(),
            max_threads: *max_discover_threads,
        },
        Work::OneShot(OneShot::Difference { old, new }) => {
            Request::Difference { old: old.clone(), new: new.clone() }
        }
        // What a sync would ask for, with nothing in it: only where it would run is asked.
        Work::OneShot(OneShot::Validate { .. }) => Request::Sync {
            source: "{}".to_owned(),
            destination: "{}".to_owned(),
            catalog: "{}".to_owned(),
            state: None,
        },
        Work::Sync(sync) => Request::Sync {
            source: open(queue, &task.project, Side::Source, &sync.source_config, &mut redactor)?,
            destination: open(
                queue,
                &task.project,
                Side::Destination,
                &sync.destination_config,
                &mut redactor,
            )?,
            catalog: sync.streams_config.clone(),
            state: stored_state(sync.state.as_deref())?,
        },
        Work::Clear(clear) => Request::Clear {
            streams: clear.catalog.clone(),
            destination: open(
                queue,
                &task.project,
                Side::Destination,
                &clear.destination_config,
                &mut redactor,
            )?,
            // The state is reset when all of the job is cleared: one that is broken must not be in the way of that.
            state: match stored_state(clear.state.as_deref()) {
                Err(_) if clear.whole => None,
                state => state?,
            },
        },
    };
    let launch = Launch {
        task: task.fence.task,
        attempt: task.fence.attempt,
        epoch: task.fence.epoch,
        job: task.job,
        connector_type: task.connector_type.clone(),
        version: task.connector_version.clone(),
        request,
        mask: redactor.forms().to_vec(),
        placement: Placement {
            profile: task.settings().and_then(|settings| settings.profile.clone()),
            max_memory: task.settings().and_then(|settings| settings.max_memory.clone()),
            memory_doublings: task.memory_doublings,
        },
        deadline: Duration::ZERO,
    };
    Ok(Described { launch, redactor })
}

fn stored_state(text: Option<&str>) -> Result<Option<StateText>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let state = parse_state(text.as_bytes()).ok_or_else(|| {
        let words = "the stored state of this job is no state. Put an earlier one back (PUT …/jobs/{id}/state), or reset it \
                     (POST …/jobs/{id}/reset-state): then everything is loaded again.";
        Failure::new(FailureClass::Infrastructure, words)
    })?;
    Ok(Some(state))
}

fn open(
    queue: &Queue,
    project: &ProjectId,
    side: Side,
    config: &Value,
    redactor: &mut Redactor,
) -> Result<String, Failure> {
    let opened = queue.open_config(project, side, config).map_err(|error| {
        let words =
            format!("the {}'s config cannot be opened: {error}. Type the secret in again.", side.name());
        Failure::new(FailureClass::Connector, words)
    })?;
    redactor.learn(config, &opened);
    Ok(opened.to_string())
}
