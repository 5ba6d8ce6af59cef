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
};

/// A state with its version as the `ETag`.
fn tagged(message: impl Into<String>, state: JobState) -> TaggedAnswer<StateItem> {
    let etag = format!("\"{}\"", state.version());
    Ok(Tagged::Ok(Json(Envelope::new(message, StateItem::from(state))), etag))
}

/// The versions that an `If-Match` header names, of which the state must have one; none when there is no header, or when
/// any will do (`*`). A text that was never an `ETag` of ours names none.
pub fn if_match(header: Option<&str>) -> Option<Vec<StateVersion>> {
    let text = header.map(str::trim).filter(|text| *text != "*")?;
    let version = |tag: &str| {
        let tag = tag.trim();
        tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').parse().ok()
    };
    Some(text.split(',').filter_map(version).collect())
}
