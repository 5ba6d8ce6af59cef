//! Gives each request an id: the one that a proxy before us gave it, or a new one.
//!
//! The id is in the answer's `X-Request-Id`, in every line that is logged for the request (as the span's field), and in
//! the body of a 500, which says nothing else. That body is made here, for errors and panics alike.

use poem::{Endpoint, Request, Response, http::HeaderValue};
use tracing::Instrument;
use uuid::Uuid;

use crate::problem;

/// The header, both ways.
pub const HEADER: &str = "X-Request-Id";

const LONGEST: usize = 64;

pub(crate) async fn request_id<E>(next: E, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    let id = request.header(HEADER).filter(|id| is_usable(id)).map_or_else(new_id, ToOwned::to_owned);
    let span = tracing::info_span!("request", request.id = %id);
    let mut response = next.call(request).instrument(span).await?;
    if response.status().as_u16() == 500 {
        response = problem::internal_with_id(&id, response);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    Ok(response)
}

pub(crate) fn new_id() -> String {
    Uuid::now_v7().simple().to_string()
}

/// Whether an id from outside may stand in our log and in our headers.
fn is_usable(id: &str) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_from_outside_is_taken_only_if_it_is_short_and_plain() {
        assert!(is_usable("abc-1.2_3") && is_usable(&"x".repeat(64)));
        for bad in ["", "a b", "a\"b", "é", "a\nb", &"x".repeat(65)] {
            assert!(!is_usable(bad), "{bad:?}");
        }
    }
}
