//! A client of the API: HTTP/1.0, so that an answer ends with its connection.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::waiting::PATIENCE;

pub const PROJECT: &str = "/api/v1/project/123";

/// Calls one server, with one session. Clones share what they have seen.
#[derive(Clone)]
pub struct Client {
    port: u16,
    token: Option<String>,
    seen: Arc<Mutex<String>>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
    /// The body as text.
    pub text: String,
}

impl Client {
    pub fn new(port: u16) -> Self {
        Self { port, token: None, seen: Arc::default() }
    }

    /// The same session on another port.
    pub fn at(&self, port: u16) -> Self {
        Self { port, ..self.clone() }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// This client with a session.
    pub fn login(mut self, username: &str, password: &str) -> Self {
        let answer = self.send("POST", "/login", Some(&json!({"username": username, "password": password})));
        self.token = Some(answer.unwrap().data()["token"].as_str().unwrap().to_owned());
        self
    }

    /// Every answer so far, one after another.
    pub fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    /// Calls an operation of the project: `path` stands below it.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", &format!("{PROJECT}{path}"), None).unwrap()
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", &format!("{PROJECT}{path}"), Some(body)).unwrap()
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.send("PUT", &format!("{PROJECT}{path}"), Some(body)).unwrap()
    }

    /// A POST without a body.
    #[track_caller]
    pub fn post_nothing(&self, path: &str) -> Reply {
        self.send("POST", &format!("{PROJECT}{path}"), None).unwrap()
    }

    /// Sends a request and reads the answer.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Reply> {
        self.send_with(method, path, &[], body)
    }

    /// Sends a request with these headers beside its own.
    pub fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Option<&Value>,
    ) -> std::io::Result<Reply> {
        let mut stream = self.ask_with(method, path, headers, body)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let answer = String::from_utf8_lossy(&bytes);
        let cut_off = || std::io::Error::other(format!("an answer was cut off: {answer}"));
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or_else(cut_off)?;
        let (head, body) = (String::from_utf8_lossy(&bytes[..end]).into_owned(), bytes[end + 4..].to_vec());
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut_off)?;
        if let Some(length) = header(&head, "content-length") {
            assert_eq!(length, body.len().to_string(), "an answer was cut off: {answer}");
        }
        self.seen.lock().unwrap().push_str(&answer);
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok(Reply { status, head, body, text })
    }

    /// Sends a request, and leaves the answer to be read, or not.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<TcpStream> {
        self.ask_with(method, path, &[], body)
    }

    fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: Option<&Value>,
    ) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = format!("{method} {path} HTTP/1.0\r\nHost: localhost:{}\r\n", self.port);
        if let Some(token) = &self.token {
            request += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            request += "Content-Type: application/json\r\n";
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

impl Reply {
    /// A header of the answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// `data` of a success.
    #[track_caller]
    pub fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        let json = self.json();
        assert_eq!(json["success"], true, "{self:?}");
        json["data"].clone()
    }

    /// The message of an error with this status.
    #[track_caller]
    pub fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert_eq!(json["success"], false, "{self:?}");
        json["message"].as_str().unwrap().to_owned()
    }
}
