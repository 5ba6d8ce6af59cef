//! `GET` and `POST P/source/streams`: what a source has.
//!
//! The config comes in the body alone: a query string ends in the logs of every proxy on the way.

use olake_shared::{
    json::parse_json,
    store::{
        connections::Side,
        tasks::input::{OneShot, OneShotResult},
    },
};
use percent_encoding::percent_decode_str;
use poem_openapi::Object;

use super::{
    request::{SourceStreams, StreamsOfGet},
    spec::required,
};
use crate::{
    context::Context,
    document::Document,
    envelope::{Envelope, LaterAnswer, MaybeLater, accepted},
    interactive::{self, Call, Outcome},
    json::Json,
    problem::Problem,
    routes::{
        connections::{
            known, request,
            test::{self, Asker},
        },
        scope, tasks,
    },
};

/// What a source has.
#[derive(Clone, Debug, Object)]
pub struct Streams {
    /// The catalog: `streams` with their schemas, and `selected_streams` by namespace.
    pub streams_config: Document,
}

/// Refuses a config in the query string.
///
/// # Errors
/// 400 saying why.
pub fn refuse_config_in_query(query: Option<&str>) -> Result<(), Problem> {
    let mut names =
        query.unwrap_or_default().split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    if names.any(|name| percent_decode_str(name).eq(*b"config")) {
        let reason =
            "send it in the body: a query string ends in the logs of servers, and a config holds secrets";
        return Err(Problem::bad_request("config", reason));
    }
    Ok(())
}

/// What a GET gives: `type` and `version` in the body or in the query, the rest in the body.
///
/// # Errors
/// 400 saying why.
pub fn from_parts(
    query: Option<&str>,
    connector_type: Option<String>,
    version: Option<String>,
    body: Option<StreamsOfGet>,
) -> Result<SourceStreams, Problem> {
    refuse_config_in_query(query)?;
    let body = body.ok_or_else(|| {
        Problem::bad_request("body", "a JSON object with the config of the source is missing")
    })?;
    Ok(SourceStreams {
        connector_type: required(body.connector_type.or(connector_type), "type")?,
        version: required(body.version.or(version), "version")?,
        config: body.config,
        max_discover_threads: body.max_discover_threads,
        job_id: body.job_id,
        job_name: body.job_name,
    })
}

/// Lists the streams of a source, merged with the selections of a job if one is given. Secrets may be given as the tokens that a read shows.
pub async fn discover(
    context: &Context,
    project: &str,
    asker: Asker,
    given: SourceStreams,
) -> LaterAnswer<Streams> {
    let project = scope::project(context, project).await?;
    request::connector(&given.connector_type, &given.version, "")?;
    let max_discover_threads = given.max_discover_threads.map(threads).transpose()?;
    let job = match given.job_id.filter(|id| *id > 0) {
        Some(id) => Some(project.job(id).await?),
        None => None,
    };
    let job_name = given.job_name.filter(|name| !name.trim().is_empty());
    let job_name = job_name.map(|name| request::name(&name, "job_")).transpose()?;
    let (catalog, name) = job.map(|job| (job.streams_config, job.name)).unzip();
    let runs = known::live(context).await?;
    let connector = known::source(&runs, &given.connector_type, &given.version, "")?;
    let sealed =
        test::sealed(&project, Side::Source, &given.connector_type, &given.version, &given.config).await?;
    let call = Call {
        connector_type: &connector.connector_type,
        version: &connector.version,
        input: OneShot::Discover {
            config: sealed.into_value(),
            max_discover_threads,
            catalog,
            destination_database_prefix: job_name.or(name),
        },
        user: asker.user,
        respond_async: asker.respond_async,
    };
    match interactive::run(context, &project, call).await? {
        Outcome::Accepted(task) => {
            accepted("the streams are being listed", task, tasks::location(&project, task))
        }
        Outcome::Ended(finished) => {
            let Some(OneShotResult::Discover { catalog }) = &finished.result else {
                return Err(failed(&finished.failure()));
            };
            let catalog = parse_json(catalog).map_err(|_| failed("the connector wrote no JSON"))?;
            let data = Streams { streams_config: Document::native(catalog) };
            Ok(MaybeLater::Done(Json(Envelope::new("the streams of the source", data))))
        }
    }
}

fn threads(number: i64) -> Result<u32, Problem> {
    u32::try_from(number)
        .ok()
        .filter(|threads| (1..=1_000).contains(threads))
        .ok_or_else(|| Problem::bad_request("max_discover_threads", "must be a whole number from 1 to 1000"))
}

fn failed(why: &str) -> Problem {
    Problem::unprocessable(format!("discover failed: {why}"))
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::Example;

    use super::*;

    #[test]
    fn a_config_in_a_query_is_refused() {
        for query in ["type=postgres&config=%7B%7D", "config", "%63onfig=1"] {
            assert!(refuse_config_in_query(Some(query)).is_err(), "{query}");
        }
        assert!(refuse_config_in_query(Some("type=config")).is_ok());
        assert!(refuse_config_in_query(None).is_ok());
        let words = || (Some("postgres".to_owned()), Some("v0.9.4".to_owned()));
        let get = |query, (kind, version)| from_parts(query, kind, version, Some(StreamsOfGet::example()));
        assert!(get(Some("config=%7B%7D"), words()).is_err());
        assert!(get(None, words()).is_ok());
        assert!(from_parts(None, Some("postgres".into()), Some("v0.9.4".into()), None).is_err());
    }
}
