//! The state of a job: where its connector goes on. To be looked at, put right and reset by operators.
//!
//! One file an operation; what they answer is in [`item`].

pub mod get;
pub mod history;
pub mod item;
pub mod put;
pub mod reset;

use olake_shared::store::states::{JobState, StateVersion};

use self::item::StateItem;
use crate::{
    envelope::{Envelope, Tagged, TaggedAnswer},
    json::Json,
    problem::Problem,
};

/// A state with its version as the `ETag`.
fn tagged(message: impl Into<String>, state: JobState) -> TaggedAnswer<StateItem> {
    let etag = format!("\"{}\"", state.version());
    Ok(Tagged::Ok(Json(Envelope::new(message, StateItem::from(state))), etag))
}

/// The version that an `If-Match` header asks for; none when there is no header, or when any will do (`*`).
///
/// # Errors
/// 412 for a text that was never an `ETag` of a state.
pub fn if_match(header: Option<&str>) -> Result<Option<StateVersion>, Problem> {
    let Some(text) = header.map(str::trim).filter(|text| *text != "*") else { return Ok(None) };
    match text.strip_prefix("W/").unwrap_or(text).trim_matches('"').parse() {
        Ok(version) => Ok(Some(version)),
        Err(_) => Err(Problem::stale("`If-Match` names no state that this job has; read it again")),
    }
}
