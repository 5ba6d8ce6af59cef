//! `POST P/sources/streams`: the catalog of a source, as a form shows it.
//!
//! As `P/source/streams`, with the catalog itself for `data`. With a job's id it is merged with the job's selections.

use poem_openapi::{Object, types::Example};
use serde_json::{Value, json};

use super::{
    request::{SourceStreams, SourceTest},
    streams,
};
use crate::{
    context::Context,
    document::Document,
    envelope::{Envelope, LaterAnswer, MaybeLater},
    json::Json,
    problem::Problem,
    routes::connections::test::Asker,
};

/// The source whose catalog is wanted, and for which job.
#[derive(Clone, Debug, Object)]
#[oai(rename = "CatalogInput", example)]
pub struct CatalogBody {
    /// The connector's type.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The connector's version, as `v0.9.4`.
    pub version: String,
    /// What the connector's spec asks for. Secrets may be given as the `sealed:` tokens that a read shows.
    pub config: Document,
    /// The job whose selections are merged in; negative or absent: a new job.
    #[oai(skip_serializing_if_is_none)]
    pub job_id: Option<i64>,
    /// The name of the job, from which the destination's databases are named.
    #[oai(skip_serializing_if_is_none)]
    pub job_name: Option<String>,
    /// How many threads the connector may use for it, 1 to 1000; absent: its own default.
    #[oai(skip_serializing_if_is_none)]
    pub max_discover_threads: Option<i64>,
}

impl Example for CatalogBody {
    fn example() -> Self {
        let SourceTest { connector_type, version, config } = SourceTest::example();
        Self {
            connector_type,
            version,
            config,
            job_id: Some(-1),
            job_name: Some("shop to lake".to_owned()),
            max_discover_threads: None,
        }
    }
}

/// Both parts are always there: a form goes through them.
fn complete(mut catalog: Value) -> Value {
    for (field, empty) in [("streams", json!([])), ("selected_streams", json!({}))] {
        if catalog.get(field).is_none_or(Value::is_null) {
            catalog[field] = empty;
        }
    }
    catalog
}

/// Discovers the catalog of a source.
pub async fn discover(
    context: &Context,
    project: &str,
    asker: Asker,
    body: CatalogBody,
) -> LaterAnswer<Document> {
    let given = SourceStreams {
        connector_type: body.connector_type,
        version: body.version,
        config: body.config,
        max_discover_threads: body.max_discover_threads,
        job_id: body.job_id,
        job_name: body.job_name,
    };
    match streams::discover(context, project, asker, given).await? {
        MaybeLater::Accepted(reference, location) => Ok(MaybeLater::Accepted(reference, location)),
        MaybeLater::Done(Json(answer)) => {
            let catalog = match answer.data.streams_config.into_value() {
                catalog @ Value::Object(_) => Document::native(complete(catalog)),
                _ => return Err(Problem::unprocessable("discover failed: the connector wrote no catalog")),
            };
            Ok(MaybeLater::Done(Json(Envelope::new(answer.message, catalog))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_always_has_both_parts() {
        let catalog = complete(json!({"streams": [{"stream": {}}], "selected_streams": null, "more": 1}));
        assert_eq!(catalog, json!({"streams": [{"stream": {}}], "selected_streams": {}, "more": 1}));
        assert_eq!(complete(json!({})), json!({"streams": [], "selected_streams": {}}));
    }
}
