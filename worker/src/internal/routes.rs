//! The endpoints.

use std::{borrow::Cow, path::Path as FilePath};

use olake_shared::{
    domain::{project::ProjectId, task::TaskId, version::ConnectorVersion},
    events::{Event, What},
    store::{
        StoreError,
        tasks::pods::{self, PodIdentity, PodRefused, PushedStats},
    },
};
use poem::{
    Body, Endpoint, EndpointExt, IntoResponse, Request, Response, Route, get, handler,
    http::{StatusCode, header::AUTHORIZATION},
    post,
    web::{Data, Json, Path, Query},
};
use tokio::sync::broadcast::error::RecvError;

use super::{
    Internal,
    answers::Refusal,
    body,
    wire::{End, Input, OfIncarnation, Push, Pushed, Register, Registered, Waited},
};
use crate::{
    agent::record::FinalRecord,
    connector::{command::command_line, state::parse_state},
    reconcile::describe::describe,
};

/// Where connectors of pods find their inputs.
const INPUTS: &str = "/mnt/config";

/// All endpoints.
pub fn app(internal: Internal) -> impl Endpoint<Output = Response> {
    let of = |name: &str| format!("/internal/v1/attempts/:task/:attempt/{name}");
    Route::new()
        .at(of("register"), post(register))
        .at(of("push"), post(push))
        .at(of("end"), get(end))
        .at(of("final"), post(store_final))
        .data(internal)
        .map_to_response()
}

type OfAttempt = Path<(TaskId, i32)>;

/// Lets a request in whose token is that of the attempt in its path.
fn let_in(internal: &Internal, request: &Request, task: TaskId, attempt: i32) -> Result<(), Refusal> {
    let header = request.header(AUTHORIZATION);
    let token = header
        .and_then(|text| text.strip_prefix("Bearer "))
        .ok_or(Refusal::NoToken("the attempt's token is missing (Authorization: Bearer …)"))?;
    match internal.keys.verify_attempt_token(token.trim()) {
        None => Err(Refusal::NoToken("the token is none of this installation's")),
        Some(of) if of == (task, attempt) => Ok(()),
        Some(_) => Err(Refusal::OtherToken),
    }
}

async fn read_json<T: serde::de::DeserializeOwned>(request: &Request, body: Body) -> Result<T, Refusal> {
    let bytes = body::read(request, body).await?;
    // The error's own words may repeat what was sent.
    serde_json::from_slice(&bytes).map_err(|error| {
        Refusal::Bad(format!(
            "the body is not what is expected here (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

#[handler]
async fn register(
    internal: Data<&Internal>,
    Path((task, attempt)): OfAttempt,
    request: &Request,
    body: Body,
) -> Result<Json<Registered>, Refusal> {
    let_in(&internal, request, task, attempt)?;
    let asked: Register = read_json(request, body).await?;
    let pod = PodIdentity {
        uid: asked.pod_uid,
        name: asked.pod_name,
        node: asked.node.filter(|node| !node.is_empty()),
        started: asked.started,
    };
    if pod.uid.is_empty() || pod.name.is_empty() {
        return Err(Refusal::Bad("the pod has no uid or no name".to_owned()));
    }
    // Before the permit: whoever has it must be able to start.
    let inputs = if asked.started { Vec::new() } else { inputs(&internal, task, attempt).await? };
    let permit = internal.queue.permit(task, attempt, &pod).await?;
    tracing::info!(
        task.id = %task, attempt, pod = pod.name, node = pod.node, incarnation = permit.incarnation,
        "the agent of a pod has registered"
    );
    Ok(Json(Registered { incarnation: permit.incarnation, first_line: permit.lines, inputs }))
}

/// The files without secrets that the connector is given.
async fn inputs(internal: &Internal, task: TaskId, attempt: i32) -> Result<Vec<Input>, Refusal> {
    let claimed = match internal.queue.work_of_attempt(task, attempt).await {
        Ok(claimed) => claimed,
        Err(StoreError::Fenced) => return Err(PodRefused::Over { task, attempt }.into()),
        Err(error @ StoreError::Database(_)) => return Err(error.into()),
        Err(error) => return Err(Refusal::Inputs(error.to_string())),
    };
    let described =
        describe(&internal.queue, &claimed).map_err(|failure| Refusal::Inputs(failure.message))?;
    let version: ConnectorVersion = claimed
        .connector_version
        .parse()
        .map_err(|_| Refusal::Inputs("the connector's version is none".to_owned()))?;
    let command = command_line(&described.launch.request, version, FilePath::new(INPUTS))
        .map_err(|error| Refusal::Inputs(error.to_string()))?;
    let files = command.inputs.into_iter().filter(|file| !file.secret);
    Ok(files.map(|file| Input { name: file.name.to_owned(), content: file.content }).collect())
}

#[handler]
async fn push(
    internal: Data<&Internal>,
    Path((task, attempt)): OfAttempt,
    request: &Request,
    body: Body,
) -> Result<Json<Pushed>, Refusal> {
    let_in(&internal, request, task, attempt)?;
    let told: Push<'static> = read_json(request, body).await?;
    if told.first_line < 0 {
        return Err(Refusal::Bad("first_line is negative".to_owned()));
    }
    let state = told.state.map(Cow::into_owned);
    if state.as_deref().is_some_and(|text| parse_state(text.as_bytes()).is_none()) {
        return Err(Refusal::Bad("the state is no whole JSON object with a member".to_owned()));
    }
    for gap in told.gaps.iter() {
        tracing::warn!(task.id = %task, attempt, gap, "an agent could not read something");
    }
    let stats = told.stats.and_then(|stats| {
        let text = serde_json::to_string(&stats).ok()?;
        let signed = |number: Option<u64>| number.and_then(|number| i64::try_from(number).ok());
        Some(PushedStats {
            text,
            records_read: signed(stats.synced_records),
            bytes_read: signed(stats.bytes),
        })
    });
    let content = pods::Push {
        state,
        stats,
        first_line: told.first_line,
        lines: told.lines.into_owned(),
        gaps: told.gaps.into_owned(),
    };
    let pushed = internal.queue.push(task, attempt, told.incarnation, told.sequence, &content).await?;
    let is_shown = !content.lines.is_empty() || !content.gaps.is_empty();
    if content.state.is_some() || content.stats.is_some() || is_shown {
        tell(&internal, task, pushed.project, pushed.job, What::Progress);
    }
    Ok(Json(Pushed { lines: pushed.lines }))
}

#[handler]
async fn store_final(
    internal: Data<&Internal>,
    Path((task, attempt)): OfAttempt,
    Query(of): Query<OfIncarnation>,
    request: &Request,
    body: Body,
) -> Result<Json<Pushed>, Refusal> {
    let_in(&internal, request, task, attempt)?;
    let bytes = body::read(request, body).await?;
    let no_record = || Refusal::Bad("the body is no final record".to_owned());
    let text = String::from_utf8(bytes).map_err(|_| no_record())?;
    FinalRecord::parse(&text).map_err(|_| no_record())?;
    let stored = internal.queue.store_final(task, attempt, of.incarnation, &text).await?;
    tracing::info!(task.id = %task, attempt, bytes = text.len(), "an agent told what its connector left");
    tell(&internal, task, stored.project, stored.job, What::Recorded);
    Ok(Json(Pushed { lines: stored.lines }))
}

#[handler]
async fn end(
    internal: Data<&Internal>,
    Path((task, attempt)): OfAttempt,
    Query(_): Query<OfIncarnation>,
    request: &Request,
) -> Result<Response, Refusal> {
    let_in(&internal, request, task, attempt)?;
    tokio::select! {
        () = internal.stop.cancelled() => Err(Refusal::Stopping),
        () = over(&internal, task, attempt) => Ok(Json(Waited { end: End::Over }).into_response()),
        ended = internal.ends.ended(task, attempt, internal.poll) => match ended {
            true => Ok(Json(Waited { end: End::Ended }).into_response()),
            false => Ok(StatusCode::NO_CONTENT.into_response()),
        },
    }
}

/// Comes back when the attempt is over. Looks when something happened to the task; the next poll looks by itself.
async fn over(internal: &Internal, task: TaskId, attempt: i32) {
    let mut events = internal.events.subscribe();
    loop {
        match internal.queue.is_attempt_open(task, attempt).await {
            Ok(false) => return,
            Ok(true) => {}
            // The end of the connector is seen without the database.
            Err(error) => tracing::debug!(%error, "whether an attempt is over was not seen"),
        }
        loop {
            match events.recv().await {
                Ok(event) if event.task == task && matches!(event.what, What::Status(_)) => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

fn tell(internal: &Internal, task: TaskId, project: ProjectId, job: Option<i64>, what: What) {
    internal.events.publish(Event { task, project, job, what });
}
