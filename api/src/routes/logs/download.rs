//! `GET P/jobs/{id}/logs/download`.

use std::io;

use futures::{
    Stream,
    stream::{once, unfold},
};
use olake_shared::{
    domain::task::TaskId,
    store::{ProjectStore, logs::archive::LogArchive},
};
use poem::{
    Body, IntoResponse, Response,
    http::{StatusCode, header},
};
use poem_openapi::{
    ApiResponse,
    payload::Binary,
    payload::Payload,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::Type,
};

use super::archive::{Archive, FIRST_BYTE};
use crate::{context::Context, problem::Problem, routes::scope};

const MEDIA_TYPE: &str = "application/gzip";

/// An archive on its way, or its first byte.
pub struct Download {
    name: String,
    body: Part,
}

enum Part {
    All(Body),
    FirstByte,
}

/// What the handler answers.
pub type DownloadAnswer = Result<Download, Problem>;

/// Sends the log and the state of a task.
pub async fn download(
    context: &Context,
    project: &str,
    job: i64,
    file_path: Option<&str>,
    range: Option<&str>,
) -> DownloadAnswer {
    let task: TaskId =
        file_path
            .ok_or_else(|| Problem::bad_request("file_path", "it is missing"))?
            .parse()
            .map_err(|_| Problem::bad_request("file_path", "is none that a list of tasks has shown"))?;
    let project = scope::project(context, project).await?;
    project.job_exists(job).await?;
    let archive = project.log_archive(job, task).await?;
    let now = context.store.clock().now();
    let name = format!("job-{job}-logs-{}.tar.gz", now.format("%Y-%m-%dT%H-%M-%SZ"));
    let body = match range.map(str::trim) {
        Some("bytes=0-0") => Part::FirstByte,
        _ => Part::All(Body::from_bytes_stream(pieces(project, archive, now.timestamp()))),
    };
    Ok(Download { name, body })
}

struct State {
    project: ProjectStore,
    log: LogArchive,
    archive: Archive,
    after: i64,
}

/// The archive, piece by piece. Nothing is read before the client takes the first one.
fn pieces(
    project: ProjectStore,
    log: LogArchive,
    time: i64,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static {
    let begun = async move {
        let (archive, first) = begin(&log, time)?;
        Ok((first, State { project, log, archive, after: -1 }))
    };
    let rest = |state: Option<State>| unfold(state, |state| async move { next(state?).await });
    futures::StreamExt::flat_map(once(begun), move |begun: io::Result<(Vec<u8>, State)>| {
        let (first, state) = match begun {
            Ok((first, state)) => (Ok(first), Some(state)),
            Err(error) => (Err(error), None),
        };
        futures::StreamExt::chain(once(async { first }), rest(state))
    })
}

/// The state, and the beginning of the log.
fn begin(log: &LogArchive, time: i64) -> io::Result<(Archive, Vec<u8>)> {
    let mut archive = Archive::new(time);
    let state = log.state.as_deref().unwrap_or("{}").as_bytes();
    archive.begin("state.json", state.len() as u64)?;
    archive.add(state)?;
    archive.begin("olake.log", u64::try_from(log.bytes).unwrap_or_default())?;
    let first = archive.take(true)?;
    Ok((archive, first))
}

async fn next(state: State) -> Option<(io::Result<Vec<u8>>, Option<State>)> {
    match piece(state).await {
        Ok((bytes, state)) => Some((Ok(bytes), state)),
        Err(error) => {
            tracing::warn!(%error, "the download of a log broke off");
            Some((Err(error), None))
        }
    }
}

/// The next piece that is not empty; without a state it is the last one.
async fn piece(mut state: State) -> io::Result<(Vec<u8>, Option<State>)> {
    loop {
        let text = state.project.log_text(&state.log, state.after).await.map_err(io::Error::other)?;
        let Some(text) = text else {
            return Ok((state.archive.finish()?, None));
        };
        state.after = text.after;
        let mut archive = state.archive;
        // Packing takes milliseconds: not on a thread that answers others.
        let packed = tokio::task::spawn_blocking(move || {
            archive.add(&text.text)?;
            let bytes = archive.take(false)?;
            io::Result::Ok((archive, bytes))
        });
        let (archive, bytes) = packed.await.map_err(io::Error::other)??;
        state.archive = archive;
        if !bytes.is_empty() {
            return Ok((bytes, Some(state)));
        }
    }
}

impl IntoResponse for Download {
    fn into_response(self) -> Response {
        let response = Response::builder()
            .content_type(MEDIA_TYPE)
            .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", self.name))
            .header(header::CACHE_CONTROL, "private, no-store");
        match self.body {
            Part::All(body) => response.body(body),
            Part::FirstByte => response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, "bytes 0-0/*")
                .body(vec![FIRST_BYTE]),
        }
    }
}

impl ApiResponse for Download {
    fn meta() -> MetaResponses {
        let response = |status, description| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content: vec![MetaMediaType {
                content_type: MEDIA_TYPE,
                schema: <Binary<Vec<u8>> as Payload>::schema_ref(),
            }],
            headers: vec![MetaHeader {
                name: "Content-Disposition".into(),
                description: Some("Its name, `job-<id>-logs-<time>.tar.gz`".into()),
                required: true,
                deprecated: false,
                schema: String::schema_ref(),
            }],
        };
        MetaResponses { responses: vec![response(200, "The archive"), response(206, "Its first byte")] }
    }

    fn register(_: &mut Registry) {}
}
