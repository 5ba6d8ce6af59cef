//! A client that calls the HTTP stack directly.

use std::sync::Arc;

use poem::{
    Body, Endpoint, Request, Response,
    endpoint::BoxEndpoint,
    http::{HeaderMap, Method},
};
use serde_json::Value;

/// Sends requests with some headers of its own.
#[derive(Clone)]
pub struct Client {
    app: Arc<BoxEndpoint<'static, Response>>,
    headers: Vec<(String, String)>,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Client {
    pub fn new(app: BoxEndpoint<'static, Response>) -> Self {
        Self { app: Arc::new(app), headers: Vec::new() }
    }

    /// The headers of its own.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// The same client with one header more.
    pub fn with_header(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.into(), value.into()));
        client
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None, Body::empty()).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None, Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.json(Method::POST, path, body).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.json(Method::PUT, path, body).await
    }

    /// A request with a JSON body, for methods that have none as a rule.
    pub async fn json(&self, method: Method, path: &str, body: Value) -> Reply {
        self.send(method, path, Some("application/json"), Body::from_string(body.to_string())).await
    }

    /// A POST without a body and without a content type.
    pub async fn post_nothing(&self, path: &str) -> Reply {
        self.send(Method::POST, path, None, Body::empty()).await
    }

    /// A GET whose body is left to be read: for streams.
    pub async fn open(&self, path: &str) -> Response {
        self.call(Method::GET, path, None, Body::empty()).await
    }

    pub async fn send(&self, method: Method, path: &str, content_type: Option<&str>, body: Body) -> Reply {
        let (parts, body) = self.call(method, path, content_type, body).await.into_parts();
        let text = body.into_string().await.expect("an answer is text");
        Reply { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// As [`Client::send`], for answers that may be no text.
    pub async fn send_any(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Body,
    ) -> Reply {
        let (parts, body) = self.call(method, path, content_type, body).await.into_parts();
        let bytes = body.into_vec().await.expect("an answer has a body");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Reply { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    async fn call(&self, method: Method, path: &str, content_type: Option<&str>, body: Body) -> Response {
        let mut request = Request::builder().method(method).uri_str(path);
        for (name, value) in &self.headers {
            request = request.header(name.as_str(), value.as_str());
        }
        if let Some(content_type) = content_type {
            request = request.content_type(content_type);
        }
        self.app.call(request.body(body)).await.expect("every error is an answer")
    }
}

impl Reply {
    /// This answer, if it has the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The body.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// `data` of the envelope of a success.
    #[track_caller]
    pub fn data(&self) -> Value {
        let json = self.json();
        assert_eq!(json["success"], true, "{json}");
        json.get("data").unwrap_or_else(|| panic!("no data: {json}")).clone()
    }

    /// `message` of the envelope of an error.
    #[track_caller]
    pub fn error(&self) -> String {
        let json = self.json();
        assert_eq!(json["success"], false, "{json}");
        json["message"].as_str().unwrap_or_else(|| panic!("no message: {json}")).to_owned()
    }

    /// A header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
