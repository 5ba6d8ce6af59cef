//! Lists that are polled: `GET P/jobs`, `P/sources`, `P/destinations`.
//!
//! Each answer carries a weak `ETag`, made of what it depends on: this build, the profile, the caller's rights and the
//! revision of the project, which the database counts with every change of what the lists show. A client that has the
//! list is told so (304) by two small queries, however long it is. A list that is asked for as a whole is kept as text
//! until it changes, so that many tabs cost one reading.
//!
//! Invariants:
//! - the caller is authenticated before anything is answered here, and the revision is read from the database for each
//!   request: a kept answer is never older than the request;
//! - the revision is read before the list, so that a change in between makes the tag too old, never too new;
//! - one list that may be kept is made at a time, and the kept texts are bounded: long lists do not add up in memory. A
//!   list that is too long to be kept goes to its client as its rows are read.
//!
//! To tag another list: a line in [`LISTS`], and a trigger that counts the changes of what it shows.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;
use olake_shared::domain::project::ProjectId;
use poem::{
    Body, Endpoint, IntoResponse, Request, Response,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
};
use poem_openapi::OperationId;
use tokio::time::{Duration, Instant};

use crate::{
    auth,
    context::Context,
    problem::Problem,
    profile::Profile,
    written::{self, UpTo, up_to},
};

/// The collections, and the operations that list them.
const LISTS: [(&str, &str); 3] =
    [("jobs", "listJobs"), ("sources", "listSources"), ("destinations", "listDestinations")];

/// How many bytes of text are kept at most.
const KEPT: usize = 24 << 20;
/// How many bytes of text one of them has at most.
const LONGEST: usize = KEPT / 2;
/// How many lists are kept at most.
const MOST: usize = 64;
/// For how long a list that was too long is taken to be so.
const TOO_LONG: Duration = Duration::from_secs(60);

/// The parameters of lists that are kept: those that polling clients send. Everything else, searches above all, would push
/// them out.
const KEPT_PARAMETERS: [&str; 4] = ["", "brief", "source_id", "dest_id"];
/// How long somebody waits for a list that another one makes; then it is made for them too, and not kept.
const WAIT_FOR_MAKING: Duration = Duration::from_millis(500);

const KEPT_HEADERS: [HeaderName; 2] = [header::CONTENT_TYPE, header::LINK];

/// What differs between programs that may show the same thing differently: the version, and the file that runs.
pub(crate) static BUILD: LazyLock<String> = LazyLock::new(|| {
    let file = std::env::current_exe().and_then(std::fs::metadata).ok();
    let modified = file
        .as_ref()
        .and_then(|file| file.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_millis());
    format!("{}-{:x}-{modified:x}", env!("CARGO_PKG_VERSION"), file.map_or(0, |file| file.len()))
});

/// What an answer depends on beside the project's revision.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    path_and_query: String,
    profile: Profile,
    is_admin: bool,
}

impl Key {
    fn tag(&self, revision: i64) -> String {
        let profile = match self.profile {
            Profile::Native => 'n',
            Profile::Ui => 'u',
        };
        let rights = if self.is_admin { 'a' } else { 'm' };
        format!("W/\"{}-{profile}{rights}-{revision:x}\"", *BUILD)
    }
}

#[derive(Clone)]
struct Answer {
    key: Key,
    revision: i64,
    headers: HeaderMap,
    /// Shared by all who are sent it.
    text: Bytes,
}

/// The kept answers. Cheap to clone.
#[derive(Clone, Default)]
pub struct Lists {
    kept: Arc<Mutex<Kept>>,
    /// Held by whoever makes a list that may be kept.
    making: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Kept {
    /// The last used one last.
    answers: VecDeque<Answer>,
    /// Lists that were too long, and when.
    too_long: VecDeque<(Key, Instant)>,
}

impl Lists {
    /// The kept answer, unless it is older than `revision`.
    fn get(&self, key: &Key, revision: i64) -> Option<Answer> {
        let answers = &mut self.kept().answers;
        let at = answers.iter().position(|answer| answer.key == *key && answer.revision >= revision)?;
        let answer = answers.remove(at)?;
        answers.push_back(answer.clone());
        Some(answer)
    }

    fn keep(&self, answer: Answer) {
        let answers = &mut self.kept().answers;
        answers.retain(|other| other.key != answer.key);
        answers.push_back(answer);
        while answers.len() > MOST || answers.iter().map(|answer| answer.text.len()).sum::<usize>() > KEPT {
            answers.pop_front();
        }
    }

    fn is_too_long(&self, key: &Key) -> bool {
        self.kept().too_long.iter().any(|(known, since)| known == key && since.elapsed() < TOO_LONG)
    }

    fn was_too_long(&self, key: Key) {
        let mut kept = self.kept();
        kept.answers.retain(|answer| answer.key != key);
        kept.too_long.retain(|(known, since)| *known != key && since.elapsed() < TOO_LONG);
        kept.too_long.push_back((key, Instant::now()));
        if kept.too_long.len() > MOST {
            kept.too_long.pop_front();
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list that is asked for.
struct Asked {
    project: ProjectId,
    operation: &'static str,
    is_whole: bool,
}

fn asked(request: &Request) -> Option<Asked> {
    if *request.method() != Method::GET {
        return None;
    }
    let (project, collection) = request.uri().path().strip_prefix("/api/v1/project/")?.split_once('/')?;
    let (_, operation) = LISTS.into_iter().find(|(name, _)| *name == collection)?;
    let query = request.uri().query().unwrap_or_default();
    let is_whole =
        query.split('&').all(|pair| KEPT_PARAMETERS.contains(&pair.split('=').next().unwrap_or_default()));
    Some(Asked { project: ProjectId::new(project), operation, is_whole })
}

pub(crate) async fn lists<E>(lists: &Lists, next: E, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    let Some(asked) = asked(&request) else { return next.call(request).await };
    // Whoever may not see the list, and whatever goes wrong, is answered where all others are.
    let Some(context) = request.data::<Context>().cloned() else { return next.call(request).await };
    let auth = match auth::authenticate(&request).await {
        Ok(auth) => auth,
        // But for a database that is away: it was waited for, and would be again.
        Err(away @ Problem::Unavailable(..)) => return Ok(away.into_response()),
        Err(_) => return next.call(request).await,
    };
    let Some(current) = revision(&context, &asked).await else { return next.call(request).await };
    let key = Key {
        path_and_query: request.uri().path_and_query().map(ToString::to_string).unwrap_or_default(),
        profile: Profile::of(request.headers()),
        is_admin: auth.user().is_admin,
    };
    if has(request.headers(), &key.tag(current)) {
        let response = Response::builder().status(StatusCode::NOT_MODIFIED).finish();
        return Ok(tagged(response, &key.tag(current), asked.operation));
    }
    if !asked.is_whole || lists.is_too_long(&key) {
        return not_kept(next, request, &key.tag(current), asked.operation).await;
    }
    if let Some(answer) = lists.get(&key, current) {
        return Ok(sent(answer, asked.operation));
    }
    let Ok(making) = tokio::time::timeout(WAIT_FOR_MAKING, lists.making.lock()).await else {
        return not_kept(next, request, &key.tag(current), asked.operation).await;
    };
    // Somebody may have made it meanwhile, or found it too long, or it may have changed.
    let Some(current) = revision(&context, &asked).await else {
        drop(making);
        return next.call(request).await;
    };
    if let Some(answer) = lists.get(&key, current) {
        return Ok(sent(answer, asked.operation));
    }
    if lists.is_too_long(&key) {
        drop(making);
        return not_kept(next, request, &key.tag(current), asked.operation).await;
    }
    let mut response = next.call(request).await?;
    if !response.is_success() {
        return Ok(response);
    }
    let whole = match up_to(LONGEST, response.take_body().into_bytes_stream()).await {
        Ok(UpTo::Whole(text)) => text,
        Ok(UpTo::Begun(text)) => {
            let tag = key.tag(current);
            lists.was_too_long(key);
            drop(making);
            response.set_body(Body::from_bytes_stream(text));
            return Ok(tagged(response, &tag, asked.operation));
        }
        Err(error) => {
            let mut response = written::broken_off(error).into_response();
            response.set_data(OperationId(asked.operation));
            return Ok(response);
        }
    };
    let mut headers = HeaderMap::new();
    for name in KEPT_HEADERS {
        if let Some(value) = response.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let answer = Answer { key, revision: current, headers, text: whole };
    lists.keep(answer.clone());
    drop(making);
    Ok(sent(answer, asked.operation))
}

/// An answer that goes to its client as it is made.
async fn not_kept<E>(next: E, request: Request, tag: &str, operation: &'static str) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    let response = next.call(request).await?;
    Ok(if response.is_success() { tagged(response, tag, operation) } else { response })
}

/// The revision of the project; none when there is none to tell.
async fn revision(context: &Context, asked: &Asked) -> Option<i64> {
    Some(context.store.project_with_revision(&asked.project).await.ok()?.1)
}

/// Whether the client has what this tag names.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|theirs| theirs.trim() == "*" || plain(theirs) == plain(tag))
}

fn sent(answer: Answer, operation: &'static str) -> Response {
    let tag = answer.key.tag(answer.revision);
    let mut response = Response::builder().body(written::shared(answer.text));
    *response.headers_mut() = answer.headers;
    tagged(response, &tag, operation)
}

fn tagged(mut response: Response, tag: &str, operation: &'static str) -> Response {
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.append(header::VARY, HeaderValue::from_static("Authorization, Cookie, X-OLake-Profile"));
    response.set_data(OperationId(operation));
    response
}
