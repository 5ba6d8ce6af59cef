//! `GET P/sources/spec`.

use olake_shared::store::specs::SpecKey;
use poem_openapi::{Object, types::Example};

use crate::{
    context::Context,
    envelope::{Envelope, LaterAnswer, MaybeLater, accepted},
    json::Json,
    problem::Problem,
    routes::{
        connections::{
            known, request,
            spec::{self, Found, Spec},
            test::Asker,
        },
        scope, tasks,
    },
};

/// Which connector's form is wanted.
#[derive(Clone, Debug, Default, Object)]
#[oai(example)]
pub struct SourceSpecQuery {
    /// The connector's type.
    #[oai(rename = "type")]
    pub connector_type: Option<String>,
    /// The connector's version, as `v0.9.4`.
    pub version: Option<String>,
}

impl Example for SourceSpecQuery {
    fn example() -> Self {
        Self { connector_type: Some("postgres".into()), version: Some("v0.9.4".into()) }
    }
}

/// The form of a source.
#[derive(Clone, Debug, Object)]
pub struct SourceSpec {
    /// The connector's type, as it was sent.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The connector's version, as it was sent.
    pub version: String,
    /// Its form.
    pub spec: Spec,
}

/// Reads the form of a source.
pub async fn read(
    context: &Context,
    project: &str,
    asker: Asker,
    query: SourceSpecQuery,
) -> LaterAnswer<SourceSpec> {
    let project = scope::project(context, project).await?;
    let connector_type = required(query.connector_type, "type")?;
    let version = required(query.version, "version")?;
    request::connector(&connector_type, &version, "")?;
    let key =
        SpecKey { connector_type: connector_type.clone(), version: version.clone(), destination_type: None };
    // A form that was read once needs no worker.
    if context.store.cached_spec(&key).await?.is_none() {
        known::source(&known::live(context).await?, &connector_type, &version, "")?;
    }
    match spec::find(context, &project, key, asker.user, asker.respond_async).await? {
        Found::Accepted(task) => accepted("the spec is being read", task, tasks::location(&project, task)),
        Found::Spec(spec) => {
            let message = format!("spec of {connector_type} {version}");
            let data = SourceSpec { connector_type, version, spec: Spec::new(spec) };
            Ok(MaybeLater::Done(Json(Envelope::new(message, data))))
        }
    }
}

/// A field that may come in the query or in the body, but must come.
///
/// # Errors
/// 400 naming it.
pub fn required(value: Option<String>, field: &str) -> Result<String, Problem> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| Problem::bad_request(field, "it is missing"))
}
