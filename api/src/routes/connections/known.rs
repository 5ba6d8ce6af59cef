//! Which connectors the live workers run.
//!
//! A source's type and version must be those of a connector. A destination has no program of its own: its type and
//! version are known if a connector of that version writes it, and its spec and test run in a source's program.

use olake_shared::store::{
    connections::{ConnectionInput, Side},
    workers::{RunnableConnector, Runs},
};

use super::request::{connector_type_form, version_form};
use crate::{context::Context, problem::Problem};

/// Checks the connector of a source or destination that is written. While no worker is live everything is taken.
///
/// # Errors
/// 400 naming the field and what is known.
pub async fn check(context: &Context, side: Side, input: &ConnectionInput, at: &str) -> Result<(), Problem> {
    match context.store.live_runs().await? {
        Some(runs) => check_against(&runs, side, &input.connector_type, &input.version, at),
        None => Ok(()),
    }
}

fn check_against(runs: &Runs, side: Side, wanted: &str, version: &str, at: &str) -> Result<(), Problem> {
    match side {
        Side::Source => source(runs, wanted, version, at).map(|_| ()),
        Side::Destination => {
            written(runs, wanted, at)?;
            writer(runs, wanted, version, at).map(|_| ())
        }
    }
}

/// Checks that some connector writes a destination, at whatever version.
fn written(runs: &Runs, wanted: &str, at: &str) -> Result<(), Problem> {
    let written = || {
        let listed = runs.connectors.iter().flat_map(|connector| connector.destinations.iter());
        listed.chain(runs.images.iter().flat_map(|image| image.destinations.iter()))
    };
    if written().any(|known| known.eq_ignore_ascii_case(wanted)) {
        return Ok(());
    }
    let known = listed(written());
    Err(Problem::bad_request(format!("{at}type"), format!("no worker writes '{wanted}'; known are {known}")))
}

/// The first connector that writes a destination at a version.
fn writer(runs: &Runs, wanted: &str, version: &str, at: &str) -> Result<RunnableConnector, Problem> {
    let writers = || runs.connectors.iter().filter(|connector| writes(connector, wanted));
    let listed_one = writers().find(|connector| connector.version == version).cloned();
    let of_image = || {
        let mut at_version = runs.images.iter().filter_map(|image| image.at(version));
        at_version.find(|connector| writes(connector, wanted))
    };
    listed_one.or_else(of_image).ok_or_else(|| {
        let is_image =
            runs.images.iter().any(|image| image.destinations.iter().any(|d| d.eq_ignore_ascii_case(wanted)));
        let known = listed(writers().map(|connector| &connector.version));
        let known = if is_image { EVERY_VERSION.to_owned() } else { known };
        let reason = format!("no worker writes '{wanted}' at {version}; known are {known}");
        Problem::bad_request(format!("{at}version"), reason)
    })
}

/// What live workers run, for a call that needs one.
///
/// # Errors
/// 503 when no worker is live.
pub async fn live(context: &Context) -> Result<Runs, Problem> {
    context
        .store
        .live_runs()
        .await?
        .ok_or_else(|| Problem::unavailable("no worker is running; try again later"))
}

/// The connector of a source.
///
/// # Errors
/// 400 when no live worker runs it.
pub fn source(runs: &Runs, wanted: &str, version: &str, at: &str) -> Result<RunnableConnector, Problem> {
    let of_type: Vec<_> = runs.connectors.iter().filter(|c| c.connector_type == wanted).collect();
    let image = runs.image(wanted);
    if of_type.is_empty() && image.is_none() {
        let names = runs.connectors.iter().map(|connector| &connector.connector_type);
        let known = listed(names.chain(runs.images.iter().map(|image| &image.connector_type)));
        return Err(Problem::bad_request(
            format!("{at}type"),
            format!("no worker runs '{wanted}'; known are {known}"),
        ));
    }
    runs.connector(wanted, version).ok_or_else(|| {
        let known = listed(of_type.iter().map(|connector| &connector.version));
        let known = if image.is_some() { EVERY_VERSION.to_owned() } else { known };
        let reason = format!("no worker runs '{wanted}' {version}; known are {known}");
        Problem::bad_request(format!("{at}version"), reason)
    })
}

/// The source that a request about a destination names, and its version; an empty text names none.
///
/// # Errors
/// 400 when one of them has no such form.
pub fn named_source<'a>(
    source_type: Option<&'a str>,
    source_version: Option<&'a str>,
) -> Result<(Option<&'a str>, Option<&'a str>), Problem> {
    let source_type = source_type.filter(|text| !text.is_empty());
    let source_version = source_version.filter(|text| !text.is_empty());
    if let Some(source_type) = source_type {
        connector_type_form(source_type, "source_type")?;
    }
    if let Some(source_version) = source_version {
        version_form(source_version, "source_version")?;
    }
    Ok((source_type, source_version))
}

/// The source whose program runs a destination's spec and test: the one that the request names, else the first that a
/// live worker runs at that version and that writes the destination, in the configured order.
///
/// # Errors
/// 400 naming the field when there is none.
pub fn destination(
    runs: &Runs,
    wanted: &str,
    version: &str,
    (source_type, source_version): (Option<&str>, Option<&str>),
) -> Result<RunnableConnector, Problem> {
    written(runs, wanted, "")?;
    if let Some(source_type) = source_type {
        let connector = source(runs, source_type, source_version.unwrap_or(version), "source_")?;
        if writes(&connector, wanted) {
            return Ok(connector);
        }
        let reason = format!("'{source_type}' {} does not write '{wanted}'", connector.version);
        return Err(Problem::bad_request("source_type", reason));
    }
    let version = source_version.unwrap_or(version);
    writer(runs, wanted, version, "")
}

/// What is known of connectors that are images.
const EVERY_VERSION: &str = "all from v0.2.1 on";

fn writes(connector: &RunnableConnector, destination: &str) -> bool {
    connector.destinations.iter().any(|written| written.eq_ignore_ascii_case(destination))
}

/// Each once, in their order; a connector list may name one type many times.
fn listed<'a>(words: impl Iterator<Item = &'a String>) -> String {
    let mut seen: Vec<&str> = Vec::new();
    for word in words {
        if !seen.contains(&word.as_str()) {
            seen.push(word);
        }
    }
    if seen.is_empty() { "none".to_owned() } else { seen.join(", ") }
}

#[cfg(test)]
mod tests {
    use olake_shared::store::workers::ImageType;

    use super::*;

    fn runs() -> Runs {
        let connector = |kind: &str, version: &str, destinations: &[&str]| RunnableConnector {
            connector_type: kind.to_owned(),
            version: version.to_owned(),
            destinations: destinations.iter().map(|&d| d.to_owned()).collect(),
        };
        Runs {
            connectors: vec![
                connector("files", "v0.9.4", &["parquet"]),
                connector("postgres", "v0.9.4", &["parquet", "iceberg"]),
                connector("postgres", "v0.8.2", &["parquet", "iceberg"]),
            ],
            ..Runs::default()
        }
    }

    fn images() -> Runs {
        let image = |kind: &str, destinations: &[&str]| ImageType {
            connector_type: kind.to_owned(),
            destinations: destinations.iter().map(|&d| d.to_owned()).collect(),
        };
        Runs {
            images: vec![image("mysql", &["parquet"]), image("postgres", &["parquet", "iceberg"])],
            ..Runs::default()
        }
    }

    #[test]
    fn of_an_image_every_version_is_known_and_what_is_too_old_is_not() {
        let runs = images();
        let expect = |kind: &str, version: &str| (kind.to_owned(), version.to_owned());
        assert_eq!(kind(source(&runs, "postgres", "v7.1.0", "")), expect("postgres", "v7.1.0"));
        assert_eq!(kind(destination(&runs, "parquet", "v1.2.3", (None, None))), expect("mysql", "v1.2.3"));
        assert_eq!(kind(destination(&runs, "iceberg", "v1.2.3", (None, None))), expect("postgres", "v1.2.3"));
        assert!(check_against(&runs, Side::Destination, "iceberg", "v0.9.4", "").is_ok());
        for version in ["v0.2.0", "latest", "0.9.4"] {
            assert!(source(&runs, "postgres", version, "").is_err(), "{version}");
            assert!(destination(&runs, "parquet", version, (None, None)).is_err(), "{version}");
        }
        assert!(source(&runs, "oracle", "v0.9.4", "").is_err());
        assert!(destination(&runs, "delta", "v0.9.4", (None, None)).is_err());
    }

    fn kind(found: Result<RunnableConnector, Problem>) -> (String, String) {
        let found = found.unwrap();
        (found.connector_type.clone(), found.version.clone())
    }

    #[test]
    fn a_destination_runs_in_the_first_source_that_writes_it_at_its_version() {
        let runs = runs();
        let expect = |kind: &str, version: &str| (kind.to_owned(), version.to_owned());
        assert_eq!(kind(destination(&runs, "parquet", "v0.9.4", (None, None))), expect("files", "v0.9.4"));
        assert_eq!(
            kind(destination(&runs, "ICEBERG", "v0.9.4", named_source(Some(""), Some("")).unwrap())),
            expect("postgres", "v0.9.4")
        );
        assert_eq!(
            kind(destination(&runs, "parquet", "v0.9.4", (Some("postgres"), None))),
            expect("postgres", "v0.9.4")
        );
        assert_eq!(
            kind(destination(&runs, "parquet", "v0.9.4", (None, Some("v0.8.2")))),
            expect("postgres", "v0.8.2")
        );
    }

    #[test]
    fn what_no_worker_runs_is_refused() {
        let runs = runs();
        assert!(source(&runs, "oracle", "v0.9.4", "").is_err());
        assert!(source(&runs, "files", "v0.8.2", "").is_err());
        assert!(destination(&runs, "delta", "v0.9.4", (None, None)).is_err());
        assert!(destination(&runs, "iceberg", "v0.9.4", (Some("files"), None)).is_err());
        assert!(destination(&runs, "parquet", "v0.7.0", (None, None)).is_err());
        assert!(destination(&runs, "parquet", "v0.9.4", (Some("oracle"), None)).is_err());
    }

    #[test]
    fn a_source_that_is_named_has_the_form_of_one() {
        assert_eq!(named_source(Some("postgres"), Some("")).unwrap(), (Some("postgres"), None));
        assert!(named_source(Some("two words"), None).is_err());
        assert!(named_source(None, Some("newest")).is_err());
    }

    #[test]
    fn a_source_and_a_destination_are_known_at_the_versions_of_connectors() {
        assert!(check_against(&runs(), Side::Destination, "ICEBERG", "v0.8.2", "").is_ok());
        assert!(check_against(&runs(), Side::Destination, "iceberg", "v0.7.0", "").is_err());
        assert!(check_against(&runs(), Side::Source, "postgres", "v0.7.0", "").is_err());
    }
}
