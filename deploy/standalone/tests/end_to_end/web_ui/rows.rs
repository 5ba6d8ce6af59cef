//! What every answer to the UI must be like, one row for each path that it calls.

use std::{collections::HashSet, time::Duration};

use olake_shared::clock::SystemClock;
use serde_json::Value;

use super::{
    exchange::Exchange,
    form::{absent, field, flag, items, json_text, list, object, one_of, text, texts, time, version, whole},
};

/// What the answers of one path must be like.
pub struct Row {
    pub method: &'static str,
    /// `P` is the project of the UI, `*` a number.
    pub path: &'static str,
    /// The longest that the answer may take. The UI itself waits longer for some.
    pub within: Duration,
    pub check: fn(&Exchange),
}

const fn row(method: &'static str, path: &'static str, check: fn(&Exchange)) -> Row {
    Row { method, path, within: Duration::from_secs(10), check }
}

/// Every path that the UI calls. The browser test (deploy/e2e-ui) has the same list in its `rows.json`.
pub const ROWS: &[Row] = &[
    row("POST", "/login", login),
    row("GET", "/auth/check", |it| assert_eq!(text(&it.data(), "username"), "admin")),
    row("GET", "/health", |it| assert_eq!(it.reply.text, r#"{"status":"ok"}"#)),
    row("GET", "/telemetry-id", telemetry),
    row("GET", "/api/v1/platform/releases", releases),
    row("GET", "/api/v1/platform/opt/status", |it| assert!(!flag(&it.data(), "enabled"))),
    row("GET", "/api/v1/users", |it| items(&it.data()).iter().for_each(user)),
    row("POST", "/api/v1/users", |it| user(&it.data())),
    row("PUT", "/api/v1/users/*", |it| user(&it.data())),
    row("DELETE", "/api/v1/users/*", |it| texts(&it.data(), &["username"])),
    row("POST", "P/check-unique", unique),
    row("GET", "P/settings", settings),
    row("PUT", "P/settings", settings),
    row("GET", "P/sources/spec", spec),
    row("POST", "P/sources/spec", spec),
    row("GET", "P/destinations/spec", spec),
    row("POST", "P/destinations/spec", spec),
    row("GET", "P/sources/versions", versions),
    row("GET", "P/destinations/versions", versions),
    row("POST", "P/sources/test", tested),
    row("POST", "P/destinations/test", tested),
    row("POST", "P/sources/streams", |it| catalog(&it.data())),
    row("GET", "P/sources", |it| items(&it.data()).iter().for_each(source)),
    row("POST", "P/sources", written),
    row("GET", "P/sources/*", |it| source(&it.data())),
    row("PUT", "P/sources/*", written),
    row("DELETE", "P/sources/*", refused_in_use),
    row("GET", "P/destinations", |it| items(&it.data()).iter().for_each(destination)),
    row("POST", "P/destinations", written),
    row("GET", "P/destinations/*", |it| destination(&it.data())),
    row("PUT", "P/destinations/*", written),
    row("DELETE", "P/destinations/*", refused_in_use),
    row("GET", "P/jobs", |it| items(&it.data()).iter().for_each(job_of_list)),
    row("POST", "P/jobs", written_job),
    row("GET", "P/jobs/*", |it| job(&it.data())),
    row("PUT", "P/jobs/*", written_job),
    row("DELETE", "P/jobs/*", |it| texts(&it.data(), &["name"])),
    row("POST", "P/jobs/*/activate", |it| assert_eq!(it.data(), it.asked.body)),
    row("POST", "P/jobs/*/sync", has_data),
    row("GET", "P/jobs/*/cancel", cancelled),
    row("POST", "P/jobs/*/cancel", cancelled),
    row("GET", "P/jobs/*/tasks", tasks),
    row("POST", "P/jobs/*/tasks/1/logs", logs),
    row("GET", "P/jobs/*/logs/download", download),
    row("POST", "P/jobs/*/clear-destination", has_data),
    row("GET", "P/jobs/*/clear-destination", running),
    row("POST", "P/jobs/*/stream-difference", difference),
    row("POST", "P/jobs/*/difference-streams", difference),
];

impl Row {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn is_of(&self, method: &str, path: &str) -> bool {
        let full = self.path.replacen("P/", "/api/v1/project/123/", usize::from(self.path.starts_with("P/")));
        let (wanted, parts): (Vec<_>, Vec<_>) = (full.split('/').collect(), path.split('/').collect());
        let fits = |(want, part): (&&str, &&str)| match *want {
            "*" => part.parse::<i64>().is_ok(),
            want => want == *part,
        };
        self.method == method && wanted.len() == parts.len() && wanted.iter().zip(&parts).all(fits)
    }
}

/// The row of a request.
#[track_caller]
pub fn row_of(method: &str, path: &str) -> &'static Row {
    let found = ROWS.iter().find(|row| row.is_of(method, path));
    found.unwrap_or_else(|| panic!("no row for {method} {path}"))
}

/// What holds for every answer.
#[track_caller]
pub fn check(row: &Row, it: &Exchange) {
    // Of a download any 2xx will do.
    if !row.path.ends_with("/download") {
        assert_eq!(it.reply.status, it.asked.status, "{}: {}", row.name(), it.reply.text);
    }
    assert!(it.took <= row.within, "{} took {:?}", row.name(), it.took);
    assert!(it.reply.header("x-request-id").is_some(), "{}", row.name());
    if !row.path.ends_with("/download") {
        assert!(
            it.reply.header("content-type").is_some_and(|media| media.starts_with("application/json")),
            "{}",
            row.name()
        );
    }
    (row.check)(it);
}

fn has_data(it: &Exchange) {
    it.data();
}

fn login(it: &Exchange) {
    if !it.is_success() {
        assert_eq!((it.reply.status, it.error().as_str()), (401, "Invalid credentials"));
        return;
    }
    texts(&it.data(), &["username", "token"]);
    let cookie = it.reply.header("set-cookie").expect("a cookie is set");
    assert!(cookie.starts_with("olake-session=") && cookie.contains("HttpOnly"), "{cookie}");
}

fn telemetry(it: &Exchange) {
    assert_eq!(text(&it.data(), "user_id"), "");
    version(text(&it.data(), "version"));
}

fn releases(it: &Exchange) {
    for product in ["olake_ui_worker", "olake_helm", "olake", "features"] {
        let data = it.data();
        let product = object(&data, product);
        list(product, "releases");
        if product.get("current_version").is_some() {
            version(text(product, "current_version"));
        }
    }
}

fn user(user: &Value) {
    whole(user, "id");
    texts(user, &["username", "email"]);
    absent(user, &["password", "password_hash"]);
}

fn unique(it: &Exchange) {
    if it.is_success() {
        assert!(flag(&it.data(), "unique"));
        return;
    }
    let (what, name) = (text(&it.asked.body, "entity_type"), text(&it.asked.body, "name"));
    assert_eq!((it.reply.status, it.error()), (409, format!("{what} name '{name}' is not unique")));
}

fn settings(it: &Exchange) {
    let data = it.data();
    let (id, url) = (whole(&data, "id"), text(&data, "webhook_alert_url"));
    assert_eq!(text(&data, "project_id"), "123");
    match it.asked.body.get("webhook_alert_url") {
        Some(sent) => assert!(id > 0 && url == sent, "{data}"),
        None => assert_eq!(id == 0, url.is_empty(), "{data}"),
    }
}

fn spec(it: &Exchange) {
    let data = it.data();
    texts(&data, &["type", "version"]);
    let spec = object(&data, "spec");
    object(spec, "jsonschema");
    json_text(spec, "uischema");
}

fn versions(it: &Exchange) {
    let data = it.data();
    let versions: Vec<_> =
        list(&data, "version").iter().map(|text| version(text.as_str().unwrap())).collect();
    assert!(!versions.is_empty() && versions.is_sorted_by(|a, b| a > b), "{data}");
}

fn tested(it: &Exchange) {
    let data = it.data();
    texts(&data, &["type", "version"]);
    json_text(&data, "config");
    let result = object(&data, "connection_result");
    one_of(result, "status", &["SUCCEEDED", "FAILED"]);
    text(result, "message");
    let fails = it.asked.body["config"].as_str().is_some_and(|config| config.contains("badhost"));
    assert_eq!(result["status"] == "FAILED", fails, "{data}");
    lines(list(&data, "logs"));
    assert!(it.took >= Duration::from_millis(500), "the window would not be seen: {:?}", it.took);
}

/// Oldest first, and none that is for debugging.
fn lines(lines: &[Value]) {
    assert!(!lines.is_empty(), "there is no line");
    for line in lines {
        one_of(line, "level", &["info", "warn", "error", "fatal"]);
        text(line, "message");
    }
    assert!(lines.iter().map(|line| time(line, "time")).is_sorted(), "{lines:?}");
}

fn catalog(catalog: &Value) {
    assert!(list(catalog, "streams").iter().all(|stream| stream["stream"].is_object()), "{catalog}");
    assert!(
        object(catalog, "selected_streams").as_object().unwrap().values().all(Value::is_array),
        "{catalog}"
    );
    assert!(catalog.to_string().contains("12345678901234567890"), "{catalog}");
}

fn connection(item: &Value) {
    whole(item, "id");
    texts(item, &["name", "type", "version", "created_by", "updated_by"]);
    time(item, "created_at");
    time(item, "updated_at");
    let config = json_text(item, "config").to_string();
    assert!(!config.contains("correct horse") && !config.contains("s3_secret_key\":\"password"), "{config}");
}

fn source(item: &Value) {
    connection(item);
    for job in list(item, "jobs") {
        job_of_connection(job);
        texts(job, &["destination_name", "dest_name", "destination_type"]);
    }
}

fn destination(item: &Value) {
    connection(item);
    for job in list(item, "jobs") {
        job_of_connection(job);
        texts(job, &["source_name", "source_type"]);
    }
}

fn job_of_connection(job: &Value) {
    whole(job, "id");
    text(job, "name");
    flag(job, "activate");
    last_run(job);
}

fn written(it: &Exchange) {
    let data = it.data();
    whole(&data, "id");
    for name in ["name", "type", "version"] {
        assert_eq!(data[name], it.asked.body[name]);
    }
    let (sent, shown) = (json_text(&it.asked.body, "config"), json_text(&data, "config"));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&sent), keys(&shown));
}

fn refused_in_use(it: &Exchange) {
    match it.is_success() {
        true => texts(&it.data(), &["name"]),
        false => assert!(it.error().contains("is used by 1 job"), "{}", it.error()),
    }
}

fn last_run(job: &Value) {
    const FIELDS: [&str; 3] = ["last_run_time", "last_run_state", "last_run_type"];
    if job.get("last_run_time").is_none() {
        absent(job, &FIELDS);
        return;
    }
    time(job, "last_run_time");
    one_of(job, "last_run_state", &["Running", "Completed", "Failed", "Canceled"]);
    one_of(job, "last_run_type", &["sync", "clear"]);
}

fn job_of_list(job: &Value) {
    whole(job, "id");
    texts(job, &["name", "frequency", "created_by", "updated_by"]);
    time(job, "created_at");
    time(job, "updated_at");
    flag(job, "activate");
    absent(job, &["streams_config"]);
    for side in ["source", "destination"] {
        let side = object(job, side);
        whole(side, "id");
        texts(side, &["name", "type", "version"]);
        absent(side, &["config"]);
    }
    last_run(job);
}

fn job(job: &Value) {
    whole(job, "id");
    texts(job, &["name", "frequency"]);
    flag(job, "activate");
    json_text(job, "streams_config");
    object(job, "advanced_settings");
    for side in ["source", "destination"] {
        let side = object(job, side);
        whole(side, "id");
        texts(side, &["name", "type", "version"]);
        json_text(side, "config");
    }
    last_run(job);
}

fn written_job(it: &Exchange) {
    let data = it.data();
    whole(&data, "id");
    for name in ["name", "frequency"] {
        assert_eq!(data[name], it.asked.body[name]);
    }
    // Keys and digits come back, white space need not.
    let catalog = |value: &Value| json_text(value, "streams_config").to_string();
    assert_eq!(catalog(&data), catalog(&it.asked.body));
    if it.asked.method == "PUT" {
        flag(&data, "activate");
    }
}

fn cancelled(it: &Exchange) {
    match it.reply.status {
        403 => assert!(it.error().starts_with("Insufficient permissions"), "{}", it.error()),
        _ => texts(&it.data(), &["message"]),
    }
}

fn tasks(it: &Exchange) {
    let data = it.data();
    let mut paths = HashSet::new();
    for task in items(&data) {
        assert!(paths.insert(text(task, "file_path").to_owned()), "{data}");
        one_of(task, "status", &["Running", "Completed", "Failed", "Canceled"]);
        one_of(task, "job_type", &["sync", "clear"]);
        let (runtime, seconds) = (text(task, "runtime"), whole(task, "runtime_seconds"));
        assert!(runtime.ends_with('s') && (0..60).contains(&seconds), "{task}");
        let age = SystemClock::shared().now() - time(task, "start_time");
        assert!(age.num_minutes().abs() < 10, "{task}");
    }
}

fn logs(it: &Exchange) {
    let data = it.data();
    lines(list(&data, "logs"));
    assert!(whole(&data, "older_cursor") >= 0 && whole(&data, "newer_cursor") >= 0, "{data}");
    assert!(!flag(&data, "has_more_older") && !flag(&data, "has_more_newer"), "{data}");
}

fn download(it: &Exchange) {
    match it.asked.headers.iter().any(|(name, _)| name == "range") {
        true => assert_eq!((it.reply.status, it.reply.body.as_slice()), (206, &[0x1f][..])),
        false => assert!(it.reply.status == 200 && it.reply.body.len() > 100, "{}", it.reply.status),
    }
    let disposition = it.reply.header("content-disposition").expect("it is to be saved");
    assert!(disposition.contains("job-1-logs-") && disposition.contains(".tar.gz"), "{disposition}");
}

fn running(it: &Exchange) {
    flag(&it.data(), "running");
}

fn difference(it: &Exchange) {
    let data = it.data();
    let difference = object(&data, "difference_streams");
    assert!(difference == &serde_json::json!({}) || field(difference, "streams").is_array(), "{data}");
}
