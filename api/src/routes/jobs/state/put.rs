//! `PUT P/jobs/{id}/state`.

use olake_shared::store::states::StateVersion;
use poem_openapi::{Object, types::Example};
use serde_json::json;

use super::{item::StateItem, tagged};
use crate::{context::Context, document::Document, envelope::TaggedAnswer, routes::scope};

/// A state that is put in place of the current one.
#[derive(Clone, Debug, Object)]
#[oai(rename = "JobStateInput", example)]
pub struct StateBody {
    /// The connector's own document, with at least one member. A string that holds it is stored to the byte.
    pub state: Document,
}

impl Example for StateBody {
    fn example() -> Self {
        let streams =
            json!([{"stream": "orders", "namespace": "public", "state": {"updated_at": "2026-01-31"}}]);
        Self { state: Document::native(json!({"type": "STREAM", "streams": streams})) }
    }
}

/// Which job's state is replaced, by whom, and which of these versions it must still have.
#[derive(Clone, Debug)]
pub struct Target {
    pub id: i64,
    pub user: i64,
    pub if_match: Option<Vec<StateVersion>>,
}

/// Puts a state in place of the current one.
pub async fn put(
    context: &Context,
    project: &str,
    target: Target,
    body: StateBody,
) -> TaggedAnswer<StateItem> {
    let Target { id, user, if_match } = target;
    let project = scope::project(context, project).await?;
    let state = project.put_state(id, &body.state.exact_text(), if_match.as_deref(), user).await?;
    tagged(format!("the state of job {id} was replaced"), state)
}
