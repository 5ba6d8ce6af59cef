//! How large a request's body may be: more for jobs, whose catalogs list thousands of streams, and little where anybody
//! may ask.
//!
//! Nothing of a body is read before the request is known to come from an account: a stranger's is left where it is, and the
//! connection is closed. A body that says its length is refused by it; one that comes in chunks, while it is read. What is
//! left of a refused body is read and dropped, up to a bound, because a client that is still sending would see a broken
//! connection instead of the answer. A body that comes too slowly is refused: nobody holds a connection, and the memory of
//! what was read, for as long as they like.

use std::time::Duration;

use futures::{Stream, StreamExt};
use poem::{Body, Endpoint, IntoResponse, Request, Response, http::header};
use tokio::time::{Instant, timeout_at};

use crate::problem::Problem;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const JOBS: usize = 24 * MIB;
const ELSEWHERE: usize = 16 * MIB;
const ANYBODY: usize = 16 * KIB;

/// How much of a refused body is read, of an account and of anybody, and for how long.
const DROPPED: usize = 64 * MIB;
const DROPPED_OF_ANYBODY: usize = MIB;
const DROPPING: Duration = Duration::from_secs(10);

/// How slow a body may be.
#[derive(Clone, Copy)]
struct Pace {
    /// How long it may stand still.
    silence: Duration,
    /// How long it may take until its first mebibyte, and for each further one.
    patience: Duration,
}

const PACE: Pace = Pace { silence: Duration::from_secs(30), patience: Duration::from_secs(60) };

/// The limit of a request, in its extensions.
#[derive(Clone, Copy, Debug)]
struct Limit(usize);

pub(crate) async fn body_limit<E>(next: E, mut request: Request) -> poem::Result<Response>
where
    E: Endpoint,
{
    let limit = limit_of(request.uri().path());
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
/// 413 beyond the limit, 400 when the body ends early or comes too slowly.
pub(crate) async fn read(request: &Request, body: Body) -> Result<Vec<u8>, Problem> {
    let limit = request.extensions().get::<Limit>().map_or(ANYBODY, |limit| limit.0);
    let droppable = if limit == ANYBODY { DROPPED_OF_ANYBODY } else { DROPPED };
    let mut stream = Box::pin(body.into_bytes_stream());
    let length = request.header(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        // A client that asks first has sent nothing yet, and will not, unless the body is read.
        if request.header(header::EXPECT).is_none() {
            drop_rest(stream, droppable).await;
        }
        return Err(Problem::too_large(limit));
    }
    read_all(stream.as_mut(), limit, droppable, PACE).await
}

impl Pace {
    /// How long a body may take of which this many bytes have come.
    fn patience_for(self, bytes: usize) -> Duration {
        self.patience * u32::try_from(1 + bytes / MIB).unwrap_or(u32::MAX)
    }
}

async fn read_all<E>(
    mut stream: impl Stream<Item = Result<impl AsRef<[u8]>, E>> + Unpin,
    limit: usize,
    droppable: usize,
    pace: Pace,
) -> Result<Vec<u8>, Problem> {
    let too_slow = || Problem::bad_request("body", "it came too slowly");
    let begin = Instant::now();
    let mut bytes = Vec::new();
    loop {
        let until = (Instant::now() + pace.silence).min(begin + pace.patience_for(bytes.len()));
        let Some(chunk) = timeout_at(until, stream.next()).await.map_err(|_| too_slow())? else { break };
        let chunk = chunk.map_err(|_| Problem::bad_request("body", "it ended early"))?;
        let chunk = chunk.as_ref();
        if bytes.len() + chunk.len() > limit {
            drop(bytes);
            drop_rest(stream, droppable).await;
            return Err(Problem::too_large(limit));
        }
        bytes.extend_from_slice(chunk);
    }
    Ok(bytes)
}

async fn drop_rest<E>(mut stream: impl Stream<Item = Result<impl AsRef<[u8]>, E>> + Unpin, droppable: usize) {
    let all = async {
        let mut dropped = 0;
        while let Some(Ok(chunk)) = stream.next().await {
            dropped += chunk.as_ref().len();
            if dropped > droppable {
                return;
            }
        }
    };
    // Whether it ended in time or not: the answer is the same.
    let _ = tokio::time::timeout(DROPPING, all).await;
}

#[cfg(test)]
mod tests {
    use std::io;

    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_that_stands_still_or_trickles_is_refused() {
        const SHORT: Duration = Duration::from_millis(10);
        let silent = stream::pending::<Result<Vec<u8>, io::Error>>();
        assert!(read_all(silent, KIB, KIB, Pace { silence: SHORT, ..PACE }).await.is_err());
        let trickle = stream::repeat(()).then(|()| async {
            tokio::task::yield_now().await;
            Ok::<_, io::Error>([b' '; 0])
        });
        assert!(read_all(Box::pin(trickle), KIB, KIB, Pace { patience: SHORT, ..PACE }).await.is_err());
        let whole = stream::iter([Ok::<_, io::Error>("{"), Ok("}")]);
        assert_eq!(read_all(whole, KIB, KIB, PACE).await.ok().as_deref(), Some(b"{}".as_slice()));
    }

    #[test]
    fn a_large_body_may_take_longer() {
        assert_eq!(PACE.patience_for(0), Duration::from_secs(60));
        assert_eq!(PACE.patience_for(3 * MIB), Duration::from_secs(240));
    }

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
