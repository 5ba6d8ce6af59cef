//! How successful answers are written: last, when the operation is known that made them, and with it the form in which
//! the client wants them.
//!
//! A handler's answer is held ([`hold`], [`hold_list`]) until the layer of the profiles writes it ([`write`]). A list is
//! written item by item as its rows are read, so that its length costs no memory: at most a batch of rows and [`WHOLE`]
//! bytes of text.
//!
//! Invariants: a list that breaks off is never taken for a whole one. Until the status is sent the error is answered in
//! its place; afterwards the connection is broken off, so that the body ends without its end.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use olake_shared::store::StoreError;
use poem::{Body, IntoResponse, Response};
use poem_openapi::OperationId;
use serde_json::Value;
use tracing::Span;

use crate::problem::Problem;

/// How the form of a client differs from the native one: of `data`, and of a list, of each of its items.
pub(crate) type Shape = fn(&mut Value);

/// Items that have been read.
pub(crate) type Values = Box<dyn Iterator<Item = Value> + Send>;
/// Items as they are read, batch by batch.
pub(crate) type Batches = stream::BoxStream<'static, Result<Values, StoreError>>;

/// How much of a list is written before its status is sent. One that is no longer than this has a `Content-Length`.
const WHOLE: usize = 1 << 20;
/// How much of a body is handed to the connection at a time. The connection copies what it is handed.
const CHUNK: usize = 64 << 10;

/// An answer that is not written yet.
#[derive(Clone)]
enum Held {
    Whole(Value),
    /// Taken by whoever writes it.
    List(Arc<Mutex<Option<List>>>),
}

struct List {
    message: String,
    batches: Batches,
}

/// Answers a value: successes are held, all else is the same to every client.
pub(crate) fn hold(value: Value, media_type: &'static str) -> Response {
    let builder = Response::builder().content_type(media_type);
    if value.get("success") != Some(&Value::Bool(true)) {
        return builder.body(text(&value));
    }
    let mut response = builder.finish();
    response.set_data(Held::Whole(value));
    response
}

/// Answers a success whose `data` are these items.
pub(crate) fn hold_list(message: String, batches: Batches, media_type: &'static str) -> Response {
    let mut response = Response::builder().content_type(media_type).finish();
    response.set_data(Held::List(Arc::new(Mutex::new(Some(List { message, batches })))));
    response
}

/// Writes the answer that is held, in a client's form. Any other passes as it is.
pub(crate) async fn write(mut response: Response, shape: Option<Shape>) -> Response {
    match response.extensions_mut().remove::<Held>() {
        None => response,
        Some(Held::Whole(mut value)) => {
            if let (Some(shape), Some(data)) = (shape, value.get_mut("data")) {
                shape(data);
            }
            response.set_body(text(&value));
            response
        }
        Some(Held::List(list)) => {
            let Some(list) = list.lock().unwrap_or_else(PoisonError::into_inner).take() else {
                return response;
            };
            match up_to(WHOLE, list.text(shape)).await {
                Ok(UpTo::Whole(text)) => response.set_body(text),
                Ok(UpTo::Begun(text)) => response.set_body(Body::from_bytes_stream(text)),
                Err(error) => {
                    let mut problem = broken_off(error).into_response();
                    if let Some(operation) = response.data::<OperationId>() {
                        problem.set_data(*operation);
                    }
                    return problem;
                }
            }
            response
        }
    }
}

/// A tree of JSON values always has a text.
fn text(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Where the text of a list stands.
struct Writing {
    batches: Batches,
    items: Values,
    text: Vec<u8>,
    has_items: bool,
    has_ended: bool,
    shape: Option<Shape>,
    /// Of the request: the text is read when that has been answered.
    span: Span,
}

impl List {
    fn text(self, shape: Option<Shape>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let message = Value::String(self.message);
        let writing = Writing {
            batches: self.batches,
            items: Box::new(std::iter::empty()),
            text: format!(r#"{{"success":true,"message":{message},"data":["#).into(),
            has_items: false,
            has_ended: false,
            shape,
            span: Span::current(),
        };
        stream::unfold(writing, |mut writing| async move { Some((writing.chunk().await?, writing)) })
    }
}

impl Writing {
    /// The next part of the text; none after its end, or after an error.
    async fn chunk(&mut self) -> Option<io::Result<Bytes>> {
        while !self.has_ended && self.text.len() < CHUNK {
            if let Some(item) = self.items.next() {
                self.item(item);
                continue;
            }
            match self.batches.next().await {
                Some(Ok(items)) => self.items = items,
                Some(Err(error)) => {
                    self.has_ended = true;
                    self.text.clear();
                    let problem = self.span.in_scope(|| Problem::from(error));
                    return Some(Err(io::Error::other(BrokenOff(problem))));
                }
                None => {
                    self.has_ended = true;
                    self.text.extend_from_slice(b"]}");
                }
            }
        }
        (!self.text.is_empty()).then(|| Ok(std::mem::take(&mut self.text).into()))
    }

    fn item(&mut self, mut item: Value) {
        if let Some(shape) = self.shape {
            shape(&mut item);
        }
        if std::mem::replace(&mut self.has_items, true) {
            self.text.push(b',');
        }
        self.text.extend(text(&item));
    }
}

/// Why a body broke off: what would have been answered, had nothing been sent yet. It is in the log already.
#[derive(Debug, thiserror::Error)]
#[error("a list could not be read to its end")]
struct BrokenOff(Problem);

/// What to answer in place of a body that could not be read to its end.
pub(crate) fn broken_off(error: io::Error) -> Problem {
    match error.downcast::<BrokenOff>() {
        Ok(BrokenOff(problem)) => problem,
        Err(error) => Problem::internal(&error),
    }
}

/// What was read of a text.
pub(crate) enum UpTo<S> {
    /// All of it.
    Whole(Bytes),
    /// More than wanted: what was read, and the rest.
    Begun(S),
}

/// Reads a text until it has more than `most` bytes.
///
/// # Errors
/// Those of the text.
pub(crate) async fn up_to(
    most: usize,
    text: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> io::Result<UpTo<impl Stream<Item = io::Result<Bytes>> + Send + 'static>> {
    let mut text = Box::pin(text);
    let mut read = Vec::new();
    let mut length = 0;
    while let Some(chunk) = text.next().await {
        let chunk = chunk?;
        length += chunk.len();
        read.push(chunk);
        if length > most {
            return Ok(UpTo::Begun(stream::iter(read.into_iter().map(Ok)).chain(text)));
        }
    }
    Ok(UpTo::Whole(match <[Bytes; 1]>::try_from(read) {
        Ok([all]) => all,
        Err(parts) => parts.concat().into(),
    }))
}

/// A body of a text that many are sent. It is handed over in parts, since a connection would copy it as a whole.
pub(crate) fn shared(text: Bytes) -> Body {
    let parts = (0..text.len()).step_by(CHUNK).map(move |at| {
        let end = text.len().min(at + CHUNK);
        Ok::<_, io::Error>(text.slice(at..end))
    });
    Body::from_bytes_stream(stream::iter(parts))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn batches(batches: Vec<Result<Vec<Value>, StoreError>>) -> Batches {
        let values = |items: Vec<Value>| Box::new(items.into_iter()) as Values;
        stream::iter(batches.into_iter().map(move |batch| batch.map(values))).boxed()
    }

    fn listed(of: Vec<Result<Vec<Value>, StoreError>>) -> Response {
        hold_list("some found".into(), batches(of), "application/json")
    }

    fn failure() -> StoreError {
        StoreError::Corrupt("by the test".into())
    }

    /// More items than are written before the status is sent.
    fn many() -> Vec<Value> {
        (0..100).map(|n| json!({"n": n, "text": "x".repeat(WHOLE / 50)})).collect()
    }

    #[tokio::test]
    async fn a_list_is_its_items_whatever_the_batches() {
        for (of, data) in [
            (vec![], "[]"),
            (vec![Ok(vec![])], "[]"),
            (vec![Ok(vec![json!(1)])], "[1]"),
            (vec![Ok(vec![json!(1), json!(2)]), Ok(vec![]), Ok(vec![json!(3)])], "[1,2,3]"),
        ] {
            let response = write(listed(of), None).await;
            let text = response.into_body().into_string().await.unwrap();
            assert_eq!(text, format!(r#"{{"success":true,"message":"some found","data":{data}}}"#));
        }
    }

    #[tokio::test]
    async fn each_item_of_a_long_list_has_its_form() {
        let shape: Shape = |item| item["n"] = json!(item["n"].to_string());
        let response = write(listed(vec![Ok(many()), Ok(many())]), Some(shape)).await;
        let body: Value = serde_json::from_slice(&response.into_body().into_vec().await.unwrap()).unwrap();
        let items = body["data"].as_array().unwrap();
        assert_eq!(items.len(), 200);
        let forms: Vec<_> = items.iter().map(|item| item["n"].as_str().unwrap().to_owned()).collect();
        assert_eq!(forms, (0..200).map(|n| (n % 100).to_string()).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_error_is_answered_until_the_status_is_sent_and_breaks_off_afterwards() {
        let early = write(listed(vec![Ok(vec![json!(1)]), Err(failure())]), None).await;
        assert_eq!(early.status().as_u16(), 500);
        let late = write(listed(vec![Ok(many()), Err(failure()), Ok(many())]), None).await;
        assert_eq!(late.status().as_u16(), 200);
        let mut parts = Box::pin(late.into_body().into_bytes_stream());
        let mut last = parts.next().await.unwrap();
        while let Ok(part) = last {
            assert!(!part.ends_with(b"]}"));
            last = parts.next().await.unwrap();
        }
        assert!(matches!(broken_off(last.unwrap_err()), Problem::Internal(_)));
        assert!(parts.next().await.is_none());
    }

    #[tokio::test]
    async fn a_shared_text_is_sent_in_parts() {
        let text = Bytes::from(vec![b'x'; 3 * CHUNK + 1]);
        let parts: Vec<_> =
            shared(text.clone()).into_bytes_stream().map(|part| part.unwrap().len()).collect().await;
        assert_eq!(parts, [CHUNK, CHUNK, CHUNK, 1]);
        assert_eq!(shared(text.clone()).into_bytes().await.unwrap(), text);
    }
}
