//! How large a request's body may be: more for jobs, whose catalogs list thousands of streams, and little where anybody
//! may ask.
//!
//! A body that says its length is refused before anything else; one that comes in chunks, while it is read. What is left
//! of a refused body is read and dropped, up to a bound, because a client that is still sending would see a broken
//! connection instead of the answer.

use std::time::Duration;

use futures::{Stream, StreamExt};
use poem::{Body, Endpoint, IntoResponse, Request, Response, http::header};

use crate::problem::Problem;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const JOBS: usize = 24 * MIB;
const ELSEWHERE: usize = 16 * MIB;
const ANYBODY: usize = 16 * KIB;

/// How much of a refused body is read, and for how long.
const DROPPED: usize = 64 * MIB;
const DROPPING: Duration = Duration::from_secs(10);

/// The limit of a request, in its extensions.
#[derive(Clone, Copy, Debug)]
struct Limit(usize);

pub(crate) async fn body_limit<E>(next: E, mut request: Request) -> poem::Result<Response>
where
    E: Endpoint,
{
    let limit = limit_of(request.uri().path());
    let length = request.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        // A client that asks first has sent nothing yet, and will not, unless the body is read.
        if request.header(header::EXPECT).is_none() {
            drop_rest(request.take_body().into_bytes_stream()).await;
        }
        return Ok(Problem::too_large(limit).into_response());
    }
    request.extensions_mut().insert(Limit(limit));
    Ok(next.call(request).await?.into_response())
}

fn limit_of(path: &str) -> usize {
    let is_of_jobs = path
        .strip_prefix("/api/v1/project/")
        .and_then(|rest| rest.split('/').nth(1))
        .is_some_and(|collection| collection == "jobs");
    match path {
        "/login" | "/signup" => ANYBODY,
        _ if is_of_jobs => JOBS,
        _ => ELSEWHERE,
    }
}

/// Reads a body up to the limit of its request.
///
/// # Errors
/// 413 beyond the limit, 400 when the body ends early.
pub(crate) async fn read(request: &Request, body: Body) -> Result<Vec<u8>, Problem> {
    let limit = request.extensions().get::<Limit>().map_or(ANYBODY, |limit| limit.0);
    let mut stream = Box::pin(body.into_bytes_stream());
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::bad_request("body", "it ended early"))?;
        if bytes.len() + chunk.len() > limit {
            drop(bytes);
            drop_rest(stream).await;
            return Err(Problem::too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn drop_rest<E>(stream: impl Stream<Item = Result<impl AsRef<[u8]>, E>>) {
    let mut stream = Box::pin(stream);
    let all = async {
        let mut dropped = 0;
        while let Some(Ok(chunk)) = stream.next().await {
            dropped += chunk.as_ref().len();
            if dropped > DROPPED {
                return;
            }
        }
    };
    // Whether it ended in time or not: the answer is the same.
    let _ = tokio::time::timeout(DROPPING, all).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_the_limit_of_the_contract() {
        assert_eq!(limit_of("/api/v1/project/olake/jobs"), 24 * MIB);
        assert_eq!(limit_of("/api/v1/project/olake/jobs/5"), 24 * MIB);
        assert_eq!(limit_of("/api/v1/project/jobs/sources"), 16 * MIB);
        assert_eq!(limit_of("/api/v1/project/olake/source/streams"), 16 * MIB);
        assert_eq!(limit_of("/login"), 16 * KIB);
        assert_eq!(limit_of("/signup"), 16 * KIB);
    }
}
