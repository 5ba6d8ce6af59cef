//! The form of a connector: read once by its program, then kept in the database.

use olake_shared::{
    domain::task::TaskId,
    json::parse_json,
    store::{
        ProjectStore,
        specs::SpecKey,
        tasks::input::{OneShot, OneShotResult},
    },
};
use poem_openapi::{Object, types::Any};
use serde_json::Value;

use crate::{
    context::Context,
    interactive::{self, Call, Outcome},
    problem::Problem,
};

/// The form of a connector.
#[derive(Clone, Debug, Object)]
pub struct Spec {
    /// A JSON schema of the config.
    pub jsonschema: Any<Value>,
    /// How a form shows it, as JSON text.
    pub uischema: String,
}

/// A spec, or the task that will have it.
pub enum Found {
    Spec(Value),
    Accepted(TaskId),
}

/// Reads a spec from the cache, or else from the connector.
///
/// # Errors
/// 422 when the connector could not do it, 503 when no worker answered.
pub async fn find(
    context: &Context,
    project: &ProjectStore,
    key: SpecKey,
    user: i64,
    respond_async: bool,
) -> Result<Found, Problem> {
    if let Some(spec) = context.store.cached_spec(&key).await? {
        return parsed(&spec).map(Found::Spec);
    }
    let call = Call {
        connector_type: &key.connector_type,
        version: &key.version,
        input: OneShot::Spec { destination_type: key.destination_type.clone() },
        user,
        respond_async,
    };
    match interactive::run(context, project, call).await? {
        Outcome::Accepted(task) => Ok(Found::Accepted(task)),
        Outcome::Ended(finished) => match &finished.result {
            Some(OneShotResult::Spec { spec }) => parsed(spec).map(Found::Spec),
            _ => Err(failed(&finished.failure())),
        },
    }
}

fn failed(why: &str) -> Problem {
    Problem::unprocessable(format!("spec failed: {why}"))
}

/// A spec's text as a value.
///
/// # Errors
/// 422 when it is no JSON.
pub fn parsed(text: &str) -> Result<Value, Problem> {
    parse_json(text).map_err(|_| failed("the connector printed no JSON"))
}

impl Spec {
    /// The two parts of a connector's spec. A connector that prints its uischema as an object is met half way.
    pub fn new(mut spec: Value) -> Self {
        let uischema = match spec.get_mut("uischema").map(Value::take) {
            Some(Value::String(text)) => text,
            None | Some(Value::Null) => "{}".to_owned(),
            Some(object) => object.to_string(),
        };
        let jsonschema = spec.get_mut("jsonschema").map(Value::take);
        Self {
            jsonschema: Any(jsonschema.unwrap_or_else(|| Value::Object(serde_json::Map::new()))),
            uischema,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_uischema_is_always_text() {
        let spec = Spec::new(json!({"jsonschema": {"type": "object"}, "uischema": "{\"a\": 1}"}));
        assert_eq!((spec.jsonschema.0, spec.uischema.as_str()), (json!({"type": "object"}), "{\"a\": 1}"));
        assert_eq!(Spec::new(json!({"jsonschema": {}, "uischema": {"a": 1}})).uischema, "{\"a\":1}");
        assert_eq!(Spec::new(json!({"jsonschema": {}})).uischema, "{}");
    }
}
