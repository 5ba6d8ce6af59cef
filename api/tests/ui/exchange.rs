//! One request of the UI, and its answer.

use std::time::{Duration, Instant};

use poem::Body;
use serde_json::Value;

use crate::support::{Client, Reply};

/// A request, as it was recorded or as the test makes it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    /// Null: none.
    pub body: Value,
    /// The status that is expected.
    pub status: u16,
}

impl Asked {
    /// A request that the UI did not make while it was recorded, with the headers that it sends.
    pub fn new(method: &str, path: &str, body: Value, status: u16) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let headers = [
            ("authorization", "Bearer authenticated"),
            ("accept", "application/json"),
            ("sec-fetch-site", "same-origin"),
        ];
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body,
            status,
        }
    }

    /// A line of the recording.
    pub fn read(line: &str) -> Self {
        let json: Value = serde_json::from_str(line).unwrap();
        let pairs = |name: &str| {
            let fields = json[name].as_object().unwrap();
            fields.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
        };
        Self {
            method: json["method"].as_str().unwrap().to_owned(),
            path: json["path"].as_str().unwrap().to_owned(),
            query: pairs("query"),
            headers: pairs("headers"),
            body: json["body"].clone(),
            status: json["example_status"].as_u64().unwrap().try_into().unwrap(),
        }
    }

    /// Puts the task in place of the one of the recording.
    pub fn set_file_path(&mut self, file_path: &str) {
        if self.body.get("file_path").is_some() {
            self.body["file_path"] = file_path.into();
        }
        for (_, value) in self.query.iter_mut().filter(|(name, _)| name == "file_path") {
            file_path.clone_into(value);
        }
    }

    /// Sends it. `cookie` stands in place of the one of the recording.
    pub async fn send(self, client: &Client, cookie: Option<&str>) -> Exchange {
        let mut client = client.clone();
        for (name, value) in &self.headers {
            match (name.as_str(), cookie) {
                ("cookie", _) | ("content-type", _) => {}
                _ => client = client.with_header(name, value),
            }
        }
        if let Some(cookie) = cookie {
            client = client.with_header("cookie", cookie);
        }
        let query: Vec<_> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let path = match query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, query.join("&")),
        };
        let (media_type, body) = match &self.body {
            Value::Null => (None, Body::empty()),
            body => (Some("application/json"), Body::from_string(body.to_string())),
        };
        let start = Instant::now();
        let reply = client.send_any(self.method.parse().unwrap(), &path, media_type, body).await;
        Exchange { asked: self, reply, took: start.elapsed() }
    }
}

/// A request with its answer.
#[derive(Debug)]
pub struct Exchange {
    pub asked: Asked,
    pub reply: Reply,
    pub took: Duration,
}

impl Exchange {
    /// `data` of a success.
    #[track_caller]
    pub fn data(&self) -> Value {
        self.reply.data()
    }

    pub fn is_success(&self) -> bool {
        self.reply.status == 200
    }
}
