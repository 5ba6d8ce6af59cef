//! `GET P/destinations/spec`.

use olake_shared::store::specs::SpecKey;
use poem_openapi::{Object, types::Example};

use super::narrow;
use crate::{
    context::Context,
    envelope::{Envelope, LaterAnswer, MaybeLater, accepted},
    json::Json,
    routes::{
        connections::{
            known, request,
            spec::{self, Found, Spec},
            test::Asker,
        },
        scope,
        sources::spec::required,
        tasks,
    },
};

/// Which destination's form is wanted.
#[derive(Clone, Debug, Default, Object)]
#[oai(example)]
pub struct DestinationSpecQuery {
    /// What is written, as `parquet` or `iceberg`.
    #[oai(rename = "type")]
    pub connector_type: Option<String>,
    /// The version of the connectors that write it, as `v0.9.4`.
    pub version: Option<String>,
    /// A catalog of iceberg, as `rest`: its branch alone is answered.
    pub catalog: Option<String>,
    /// The source whose connector is asked; absent or empty: any that writes this destination.
    pub source_type: Option<String>,
    /// The version of that source; absent or empty: `version`.
    pub source_version: Option<String>,
}

impl Example for DestinationSpecQuery {
    fn example() -> Self {
        Self {
            connector_type: Some("iceberg".into()),
            version: Some("v0.9.4".into()),
            catalog: Some("rest".into()),
            ..Self::default()
        }
    }
}

/// The form of a destination.
#[derive(Clone, Debug, Object)]
pub struct DestinationSpec {
    /// What is written, as it was sent.
    #[oai(rename = "type")]
    pub connector_type: String,
    /// The version, as it was sent.
    pub version: String,
    /// The catalog, as it was sent; empty if none was.
    pub catalog: String,
    /// Its form.
    pub spec: Spec,
}

/// Reads the form of a destination from a connector that writes it.
pub async fn read(
    context: &Context,
    project: &str,
    asker: Asker,
    query: DestinationSpecQuery,
) -> LaterAnswer<DestinationSpec> {
    let project = scope::project(context, project).await?;
    let connector_type = required(query.connector_type, "type")?;
    let version = required(query.version, "version")?;
    let catalog = query.catalog.unwrap_or_default();
    request::connector(&connector_type, &version, "")?;
    let named = known::named_source(query.source_type.as_deref(), query.source_version.as_deref())?;
    let destination_type = connector_type.to_lowercase();
    let of = |source: &str, version: &str| SpecKey {
        connector_type: source.to_owned(),
        version: version.to_owned(),
        destination_type: Some(destination_type.clone()),
    };
    let source_version = named.1.unwrap_or(&version);
    let cached = match named.0 {
        Some(source) => context.store.cached_spec(&of(source, source_version)).await?,
        None => context.store.cached_destination_spec(&destination_type, source_version).await?,
    };
    let found = match cached {
        // A form that was read once needs no worker.
        Some(spec) => Found::Spec(spec::parsed(&spec)?),
        None => {
            let runs = known::live(context).await?;
            let connector = known::destination(&runs, &connector_type, &version, named)?;
            let key = of(&connector.connector_type, &connector.version);
            spec::find(context, &project, key, asker.user, asker.respond_async).await?
        }
    };
    match found {
        Found::Accepted(task) => accepted("the spec is being read", task, tasks::location(&project, task)),
        Found::Spec(mut spec) => {
            if !catalog.is_empty() {
                narrow::to_catalog(&mut spec, &catalog);
            }
            let message = format!("spec of {connector_type} {version}");
            let data = DestinationSpec { connector_type, version, catalog, spec: Spec::new(spec) };
            Ok(MaybeLater::Done(Json(Envelope::new(message, data))))
        }
    }
}
