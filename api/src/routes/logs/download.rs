//! `GET P/jobs/{id}/logs/download`.
//!
//! The archive of a task that has ended is the same to the byte whenever it is packed: it has a strong `ETag` over all that
//! it is made of, and a client whose download broke off gets the rest. Its length is known once it was packed, so a part
//! of it costs packing it twice: to count, and to send. (The first byte alone costs nothing: it is that of every archive.)
//! While a task runs its log grows: then there is neither a tag nor a part beside the first byte.

use std::{future::ready, io};

use futures::{
    Stream, StreamExt, TryStreamExt,
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

use super::{
    archive::{Archive, FIRST_BYTE},
    range::Wanted,
};
use crate::{
    context::Context,
    json::Json,
    layers::lists::BUILD,
    problem,
    problem::{ErrorBody, Problem},
    routes::scope,
};

const MEDIA_TYPE: &str = "application/gzip";

/// Which part is wanted, as the request's headers say it.
#[derive(Clone, Copy, Debug, Default)]
pub struct PartAsked<'a> {
    pub range: Option<&'a str>,
    pub if_range: Option<&'a str>,
}

/// An archive on its way, or a part of it.
pub struct Download {
    name: String,
    /// None while the task runs.
    tag: Option<String>,
    part: Part,
}

enum Part {
    All(Body),
    FirstByte,
    /// From the first to the last byte, of so many.
    Some {
        first: u64,
        last: u64,
        of: u64,
        body: Body,
    },
    /// What is wanted begins after the last byte.
    Beyond(u64),
}

/// What the handler answers.
pub type DownloadAnswer = Result<Download, Problem>;

/// Sends the log and the state of a task.
pub async fn download(
    context: &Context,
    project: &str,
    job: i64,
    file_path: Option<&str>,
    asked: PartAsked<'_>,
) -> DownloadAnswer {
    let task: TaskId =
        file_path
            .ok_or_else(|| Problem::bad_request("file_path", "it is missing"))?
            .parse()
            .map_err(|_| Problem::bad_request("file_path", "is none that a list of tasks has shown"))?;
    let project = scope::project(context, project).await?;
    project.job_exists(job).await?;
    let log = project.log_archive(job, task).await?;
    let time = log.ended_at.unwrap_or_else(|| context.store.clock().now());
    let name = format!("job-{job}-logs-{}.tar.gz", time.format("%Y-%m-%dT%H-%M-%SZ"));
    // Another program may pack the same log differently.
    let tag = log.ended_at.map(|_| format!("\"{}-{}\"", *BUILD, log.fingerprint()));
    let pack = || pieces(project.clone(), log.clone(), time.timestamp());
    // A client that has the beginning of another archive gets all of this one.
    let is_same = asked.if_range.is_none_or(|has| Some(has.trim()) == tag.as_deref());
    let part = match asked.range.and_then(Wanted::read).filter(|_| is_same) {
        Some(Wanted::FIRST_BYTE) => Part::FirstByte,
        // All of it: it need not be counted first.
        Some(Wanted::From(0, None)) => Part::All(Body::from_bytes_stream(pack())),
        Some(wanted) if tag.is_some() => {
            let of = length(pack()).await.map_err(|error| Problem::internal(&error))?;
            match wanted.of(of) {
                Some((first, last)) => {
                    let body = Body::from_bytes_stream(cut(pack(), first, last - first + 1));
                    Part::Some { first, last, of, body }
                }
                None => Part::Beyond(of),
            }
        }
        _ => Part::All(Body::from_bytes_stream(pack())),
    };
    Ok(Download { name, tag, part })
}

/// How many bytes there are in all.
async fn length(pieces: impl Stream<Item = io::Result<Vec<u8>>>) -> io::Result<u64> {
    pieces.try_fold(0, |sum, piece| ready(Ok(sum + piece.len() as u64))).await
}

/// `length` bytes from `first` on.
fn cut(
    pieces: impl Stream<Item = io::Result<Vec<u8>>>,
    first: u64,
    length: u64,
) -> impl Stream<Item = io::Result<Vec<u8>>> {
    let cut = pieces.scan((first, length), |(skip, left), piece| {
        if *left == 0 {
            return ready(None);
        }
        ready(Some(piece.map(|mut bytes| {
            let over = clamped(*skip, bytes.len());
            *skip -= over as u64;
            bytes.drain(..over);
            bytes.truncate(clamped(*left, bytes.len()));
            *left -= bytes.len() as u64;
            bytes
        })))
    });
    cut.try_filter(|bytes| ready(!bytes.is_empty()))
}

fn clamped(wanted: u64, most: usize) -> usize {
    usize::try_from(wanted).map_or(most, |wanted| wanted.min(most))
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
        let mut response = Response::builder()
            .content_type(MEDIA_TYPE)
            .header(header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", self.name))
            .header(header::CACHE_CONTROL, "private, no-store");
        if let Some(tag) = self.tag {
            response = response.header(header::ETAG, tag).header(header::ACCEPT_RANGES, "bytes");
        }
        match self.part {
            Part::All(body) => response.body(body),
            Part::FirstByte => response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, "bytes 0-0/*")
                .body(vec![FIRST_BYTE]),
            Part::Some { first, last, of, body } => response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{of}"))
                .header(header::CONTENT_LENGTH, last - first + 1)
                .body(body),
            Part::Beyond(of) => beyond(of),
        }
    }
}

fn beyond(of: u64) -> Response {
    let words = problem::body(format!("Range not satisfiable: the archive has {of} bytes"));
    words
        .with_header(header::CONTENT_RANGE, format!("bytes */{of}"))
        .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
        .into_response()
}

impl ApiResponse for Download {
    fn meta() -> MetaResponses {
        let header = |name: &'static str, description: &'static str, required| MetaHeader {
            name: name.into(),
            description: Some(description.into()),
            required,
            deprecated: false,
            schema: String::schema_ref(),
        };
        let range = || header("Content-Range", "Which bytes, of how many; `*`: not known yet", true);
        let archive = |status, description, more: Vec<MetaHeader>| {
            let own = [
                header("Content-Disposition", "Its name, `job-<id>-logs-<time>.tar.gz`", true),
                header("ETag", "The same archive has the same; absent while the task runs", false),
            ];
            MetaResponse {
                description,
                status: Some(status),
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: MEDIA_TYPE,
                    schema: <Binary<Vec<u8>> as Payload>::schema_ref(),
                }],
                headers: own.into_iter().chain(more).collect(),
            }
        };
        let beyond = MetaResponse {
            description: "What is wanted begins after its end",
            status: Some(416),
            status_range: None,
            content: vec![MetaMediaType {
                content_type: <Json<ErrorBody> as Payload>::CONTENT_TYPE,
                schema: <Json<ErrorBody> as Payload>::schema_ref(),
            }],
            headers: vec![range()],
        };
        MetaResponses {
            responses: vec![
                archive(200, "The archive", Vec::new()),
                archive(206, "A part of it", vec![range()]),
                beyond,
            ],
        }
    }

    fn register(_: &mut Registry) {}
}
