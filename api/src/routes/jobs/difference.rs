//! `POST P/jobs/{id}/stream-difference`: which streams of a changed catalog would have to be cleared. The connector
//! decides.

use olake_shared::{
    domain::version::{CLEARS_SINCE, ConnectorVersion},
    json::parse_json,
    store::tasks::input::{OneShot, OneShotResult},
};
use poem_openapi::{Object, types::Example};
use serde_json::{Map, Value, json};

use super::request::check_streams;
use crate::{
    context::Context,
    document::Document,
    envelope::{Envelope, LaterAnswer, MaybeLater, accepted},
    interactive::{self, Call, Outcome},
    json::Json,
    problem::Problem,
    routes::{
        connections::{known, test::Asker},
        scope, tasks,
    },
};

/// A catalog that a job is to have.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct DifferenceBody {
    /// The changed catalog: `streams` and `selected_streams`.
    pub updated_streams_config: Document,
}

impl Example for DifferenceBody {
    fn example() -> Self {
        let selected = json!([{"stream_name": "orders", "partition_regex": "", "normalization": false}]);
        Self {
            updated_streams_config: Document::native(
                json!({"selected_streams": {"public": selected}, "streams": []}),
            ),
        }
    }
}

/// What differs.
#[derive(Clone, Debug, Object)]
pub struct Difference {
    /// The catalog of the streams that differ; an empty object if none does.
    pub difference_streams: Document,
}

/// Asks the job's connector which streams differ between its catalog and another one.
pub async fn difference(
    context: &Context,
    project: &str,
    asker: Asker,
    id: i64,
    body: DifferenceBody,
) -> LaterAnswer<Difference> {
    let project = scope::project(context, project).await?;
    let job = project.job(id).await?;
    check_streams("updated_streams_config", body.updated_streams_config.value())?;
    let source = &job.source;
    if source.version.parse::<ConnectorVersion>().is_ok_and(|version| version < CLEARS_SINCE) {
        return done(Value::Object(Map::new()));
    }
    let runs = known::live(context).await?;
    let connector = known::source(&runs, &source.connector_type, &source.version, "source.")?;
    let call = Call {
        connector_type: &connector.connector_type,
        version: &connector.version,
        input: OneShot::Difference { old: job.streams_config, new: body.updated_streams_config.text() },
        user: asker.user,
        respond_async: asker.respond_async,
    };
    match interactive::run(context, &project, call).await? {
        Outcome::Accepted(task) => {
            accepted("the catalogs are being compared", task, tasks::location(&project, task))
        }
        Outcome::Ended(finished) => {
            let Some(OneShotResult::Difference { catalog }) = &finished.result else {
                return Err(failed(&finished.failure()));
            };
            let catalog = parse_json(catalog).map_err(|_| failed("the connector wrote no JSON"))?;
            done(shown(catalog))
        }
    }
}

/// A difference as it is shown: without a selected stream there is none.
pub fn shown(catalog: Value) -> Value {
    if selects(&catalog) { catalog } else { Value::Object(Map::new()) }
}

/// Whether a catalog selects a stream.
pub fn selects(catalog: &Value) -> bool {
    let namespaces = catalog.get("selected_streams").and_then(Value::as_object);
    namespaces.is_some_and(|namespaces| {
        namespaces.values().any(|list| list.as_array().is_some_and(|list| !list.is_empty()))
    })
}

fn done(catalog: Value) -> LaterAnswer<Difference> {
    let data = Difference { difference_streams: Document::native(catalog) };
    Ok(MaybeLater::Done(Json(Envelope::new("the streams that differ", data))))
}

fn failed(why: &str) -> Problem {
    Problem::unprocessable(format!("difference failed: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_that_selects_nothing_is_no_difference() {
        for none in [
            json!({}),
            json!({"selected_streams": {}, "streams": null}),
            json!({"selected_streams": {"public": []}, "streams": [{"stream": {}}]}),
            json!({"selected_streams": null}),
        ] {
            assert_eq!(shown(none), json!({}));
        }
        let some = json!({"selected_streams": {"public": [{"stream_name": "a"}]}, "streams": []});
        assert_eq!(shown(some.clone()), some);
    }
}
