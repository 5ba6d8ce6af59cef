//! The two profiles of the API. Contract clients get native JSON, the web UI gets the forms that it was written against.
//! Handlers know of one form only, the native one: this layer owns all of the difference.
//!
//! For a request of the UI it
//! - asks for what the UI shows, by query parameters that every client may use ([`WISHES`]);
//! - gives the answer the UI's form, by the id of the operation ([`SHAPES`]);
//! - lets the answer of a connection test take at least [`SHOWN`], so that the window that says "testing" is seen.
//!
//! Invariants: a native answer passes as it is; only successes are given another form, errors are the same for all; status
//! and headers stay (`ETag`, `Link`); keys keep their order and numbers their digits.
//!
//! To give an operation another form: a function on its `data` (on an item, if it lists), and a line in [`SHAPES`].

use std::time::Duration;

use poem::{
    Endpoint, IntoResponse, Request, Response,
    http::{HeaderMap, Method, Uri, header},
};
use poem_openapi::OperationId;
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::written::{self, Shape};

/// The header that names the profile.
pub const HEADER: &str = "X-OLake-Profile";

/// What the UI sends with every call, signed in by its cookie.
const LITERAL: &str = "Bearer authenticated";

/// The least time that the answer of a connection test takes.
const SHOWN: Duration = Duration::from_millis(500);

/// Which form a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The contract's own.
    Native,
    /// The web UI's.
    Ui,
}

impl Profile {
    /// The profile of a request. The header wins over the literal that the UI sends.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let is_ui = match text(HEADER) {
            Some(word) => word.eq_ignore_ascii_case("ui"),
            None => text(header::AUTHORIZATION.as_str()) == Some(LITERAL),
        };
        if is_ui { Self::Ui } else { Self::Native }
    }
}

pub(crate) async fn profile<E>(next: E, mut request: Request) -> poem::Result<Response>
where
    E: Endpoint,
{
    if Profile::of(request.headers()) == Profile::Native {
        return Ok(written::write(next.call(request).await?.into_response(), None).await);
    }
    let start = Instant::now();
    wish(&mut request);
    let response = next.call(request).await?.into_response();
    let operation = response.data::<OperationId>().map_or("", |id| id.0);
    let shape = SHAPES.iter().find(|(id, _)| *id == operation).map(|(_, shape)| *shape);
    let response = written::write(response, shape).await;
    if matches!(operation, "testSource" | "testDestination") {
        tokio::time::sleep_until(start + SHOWN).await;
    }
    Ok(response)
}

/// What the UI wishes of a GET or POST whose path ends like this, below a project: the query parameter, unless it has one
/// of this name.
const WISHES: &[(&[&str], &str, &str)] = &[
    (&["jobs"], "brief", "true"),
    (&["jobs", "*", "tasks"], "skipped", "false"),
    (&["jobs", "*", "tasks", "*", "logs"], "level", "info"),
    (&["jobs", "*", "task", "*", "logs"], "level", "info"),
];

fn wish(request: &mut Request) {
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return;
    }
    let Some(uri) = wished(request.uri()) else { return };
    *request.uri_mut() = uri;
}

/// The address with what the UI wishes; none if it wishes nothing.
fn wished(uri: &Uri) -> Option<Uri> {
    let rest = uri.path().strip_prefix("/api/v1/project/")?;
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    let is = |pattern: &[&str]| {
        pattern.len() == parts.len()
            && pattern.iter().zip(&parts).all(|(want, part)| *want == "*" || want == part)
    };
    let (_, name, value) = WISHES.iter().find(|(pattern, ..)| is(pattern))?;
    let query = uri.query().unwrap_or_default();
    if query.split('&').any(|pair| pair.split('=').next() == Some(*name)) {
        return None;
    }
    let separator = if query.is_empty() { "" } else { "&" };
    let mut changed = uri.clone().into_parts();
    changed.path_and_query = format!("{}?{query}{separator}{name}={value}", uri.path()).parse().ok();
    Uri::from_parts(changed).ok()
}

/// The forms of the UI, by operation: of its `data`, and of an operation that lists, of each item. What is not here has one
/// form for all.
const SHAPES: &[(&str, Shape)] = &[
    ("listSources", connection),
    ("getSource", connection),
    ("testSource", tested),
    ("listDestinations", connection),
    ("getDestination", connection),
    ("testDestination", tested),
    ("listJobs", job_of_list),
    ("getJob", job),
    ("listJobTasks", task),
    ("getTaskLogs", |data| without_debug(data.get_mut("task_logs"))),
    ("readTaskLogs", |data| without_debug(data.get_mut("logs"))),
];

/// A source or destination.
fn connection(item: &mut Value) {
    document(item, "config");
    if let Some(Value::Array(jobs)) = item.get_mut("jobs") {
        jobs.iter_mut().for_each(last_run);
    }
}

/// A job.
fn job(item: &mut Value) {
    for side in ["source", "destination"] {
        if let Some(side) = item.get_mut(side) {
            document(side, "config");
        }
    }
    document(item, "streams_config");
    last_run(item);
}

/// A job of the list that is polled: without its documents.
fn job_of_list(item: &mut Value) {
    for side in ["source", "destination"] {
        remove(item.get_mut(side), "config");
    }
    remove(Some(item), "streams_config");
    last_run(item);
}

fn task(item: &mut Value) {
    word(item, "status");
    if let Some(Value::Number(seconds)) = item.get("runtime") {
        let shown = duration(seconds.as_u64().unwrap_or_default());
        item["runtime"] = Value::String(shown);
    }
}

fn tested(data: &mut Value) {
    document(data, "config");
    without_debug(data.get_mut("logs"));
}

fn without_debug(lines: Option<&mut Value>) {
    if let Some(Value::Array(lines)) = lines {
        lines.retain(|line| line.get("level").and_then(Value::as_str) != Some("debug"));
    }
}

fn last_run(item: &mut Value) {
    word(item, "last_run_state");
}

/// An object as JSON text.
fn document(item: &mut Value, field: &str) {
    if let Some(value) = item.get_mut(field).filter(|value| value.is_object()) {
        *value = Value::String(value.to_string());
    }
}

fn remove(item: Option<&mut Value>, field: &str) {
    // In its order: `remove` would put the last field into the gap.
    item.and_then(Value::as_object_mut).map(|fields: &mut Map<_, _>| fields.shift_remove(field));
}

/// The UI's word for a status.
fn word(item: &mut Value, field: &str) {
    let Some(Value::String(status)) = item.get_mut(field) else { return };
    let shown = match status.as_str() {
        "queued" | "waiting" | "running" => "Running",
        "succeeded" => "Completed",
        "failed" => "Failed",
        "cancelled" => "Canceled",
        _ => return,
    };
    shown.clone_into(status);
}

/// Whole seconds as `1h2m3s`, `2m3s` or `3s`.
fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_ui_is_known_by_its_literal_and_by_the_header() {
        assert_eq!(Profile::of(&headers(&[("authorization", "Bearer authenticated")])), Profile::Ui);
        assert_eq!(
            Profile::of(&headers(&[("x-olake-profile", "UI"), ("authorization", "Bearer x")])),
            Profile::Ui
        );
        let native = [("x-olake-profile", "native"), ("authorization", "Bearer authenticated")];
        assert_eq!(Profile::of(&headers(&native)), Profile::Native);
        assert_eq!(Profile::of(&headers(&[("authorization", "Bearer token")])), Profile::Native);
        assert_eq!(Profile::of(&headers(&[])), Profile::Native);
    }

    #[test]
    fn every_shape_is_of_an_operation() {
        use poem_openapi::OpenApi;
        let operations = crate::routes::Apis::meta().into_iter().flat_map(|api| api.paths);
        let ids: Vec<_> = operations
            .flat_map(|path| path.operations)
            .filter_map(|operation| operation.operation_id)
            .collect();
        for (id, _) in SHAPES {
            assert!(ids.contains(id), "{id}");
        }
    }

    #[test]
    fn documents_become_text_with_their_order_and_their_digits() {
        let text = r#"{"z":12345678901234567890123,"a":{"y":1.10}}"#;
        let config: Value = serde_json::from_str(text).unwrap();
        let mut job_item = json!({"source": {"config": config}, "destination": {"config": {}}, "streams_config": config,
            "last_run_state": "cancelled"});
        job(&mut job_item);
        assert_eq!(job_item["source"]["config"], text);
        assert_eq!(job_item["streams_config"], text);
        assert_eq!(
            (&job_item["destination"]["config"], &job_item["last_run_state"]),
            (&json!("{}"), &json!("Canceled"))
        );
    }

    #[test]
    fn the_list_of_jobs_has_no_documents_and_keeps_its_order() {
        let mut item = json!({"id": 1, "source": {"id": 1, "config": {}, "version": "v0.9.4"}, "streams_config": {}, "activate": true});
        job_of_list(&mut item);
        assert_eq!(item.to_string(), r#"{"id":1,"source":{"id":1,"version":"v0.9.4"},"activate":true}"#);
    }

    #[test]
    fn a_task_has_the_words_of_the_ui() {
        for (native, ui) in [
            ("queued", "Running"),
            ("waiting", "Running"),
            ("running", "Running"),
            ("succeeded", "Completed"),
            ("failed", "Failed"),
            ("cancelled", "Canceled"),
        ] {
            let mut item = json!({"status": native, "runtime": 3_723});
            task(&mut item);
            assert_eq!(item, json!({"status": ui, "runtime": "1h2m3s"}));
        }
        assert_eq!((duration(0), duration(59), duration(60)), ("0s".into(), "59s".into(), "1m0s".into()));
    }

    #[test]
    fn debug_lines_are_left_out() {
        let mut data = json!({"config": {}, "logs": [{"level": "debug"}, {"level": "info"}]});
        tested(&mut data);
        assert_eq!(data, json!({"config": "{}", "logs": [{"level": "info"}]}));
    }

    #[test]
    fn what_the_ui_wishes_is_a_query_that_it_may_give_itself() {
        let wish = |uri: &str| wished(&uri.parse().unwrap()).map(|uri| uri.to_string());
        let jobs = "/api/v1/project/123/jobs";
        assert_eq!(wish(jobs), Some(format!("{jobs}?brief=true")));
        assert_eq!(wish(&format!("{jobs}?limit=5")), Some(format!("{jobs}?limit=5&brief=true")));
        assert_eq!(wish(&format!("{jobs}?brief=false")), None);
        assert_eq!(wish(&format!("{jobs}/1/tasks")), Some(format!("{jobs}/1/tasks?skipped=false")));
        let logs = format!("{jobs}/1/tasks/1/logs?cursor=-1");
        assert_eq!(wish(&logs), Some(format!("{logs}&level=info")));
        assert_eq!(wish(&format!("{jobs}/1")), None);
        assert_eq!(wish("/auth"), None);
    }
}
