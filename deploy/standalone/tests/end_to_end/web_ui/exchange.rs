//! One request of the UI, and its answer.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::client::{Client, Reply};

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

    /// Sends it by a client that is nobody. `cookie` stands in place of the one of the recording.
    pub fn send(mut self, client: &Client, cookie: Option<&str>) -> Exchange {
        // The client itself says what kind of body it sends.
        self.headers.retain(|(name, _)| !matches!(name.as_str(), "cookie" | "content-type"));
        let mut headers = self.headers.clone();
        headers.extend(cookie.map(|cookie| ("cookie".to_owned(), cookie.to_owned())));
        let query: Vec<_> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let path = match query.is_empty() {
            true => self.path.clone(),
            false => format!("{}?{}", self.path, query.join("&")),
        };
        let body = Some(&self.body).filter(|body| !body.is_null());
        let start = Instant::now();
        let reply = client.send_with(&self.method, &path, &headers, body).unwrap();
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

    /// The message of an error with the status that is expected.
    #[track_caller]
    pub fn error(&self) -> String {
        self.reply.error(self.asked.status)
    }

    pub fn is_success(&self) -> bool {
        self.reply.status == 200
    }
}
