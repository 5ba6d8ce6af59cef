//! `GET P/sources/versions`, `GET P/destinations/versions`: which versions a form offers.
//!
//! What live workers run and what the registry has images of (a worker reads its tags in the background) comes first, then
//! what workers once ran, then the configured list: a form without a version is of no use to anybody. Nothing is fetched
//! within a request.

use olake_shared::{
    domain::connectors::{DESTINATIONS, SOURCES},
    store::connections::Side,
};
use poem_openapi::Object;

use super::request::connector_type_form;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    problem::Problem,
    routes::{scope, sources::spec::required},
};

/// The versions of a connector.
#[derive(Clone, Debug, Object)]
pub struct Versions {
    /// Newest first; never empty.
    pub version: Vec<String>,
}

/// Lists the versions of a connector.
pub async fn versions(
    context: &Context,
    side: Side,
    project: &str,
    connector_type: Option<String>,
) -> Answer<Versions> {
    scope::project(context, project).await?;
    let wanted = required(connector_type, "type")?;
    connector_type_form(&wanted, "type")?;
    let mut found = context.store.versions(side, &wanted).await?;
    if found.is_empty() {
        let known: &[&str] = match side {
            Side::Source => &SOURCES,
            Side::Destination => &DESTINATIONS,
        };
        if !known.iter().any(|known| known.eq_ignore_ascii_case(&wanted)) {
            let reason = format!("no worker runs this {}; there are {}", side.name(), known.join(", "));
            return Err(Problem::bad_request("type", reason));
        }
        found.clone_from(&context.settings.fallback_versions);
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
    }
    let version = found.iter().map(ToString::to_string).collect();
    ok(format!("versions of {wanted}"), Versions { version })
}
