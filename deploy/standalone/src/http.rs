//! The API, called from within the process: the same layers and handlers as a client's request passes.

use anyhow::{Context as _, bail};
use olake_api::{Context, app};
use olake_shared::events::{Event, Events};
use poem::{
    Endpoint, Request, Response,
    endpoint::BoxEndpoint,
    http::{Method, Uri, header},
};
use serde_json::Value;
use tokio::sync::broadcast;
use tracing::{instrument::WithSubscriber, subscriber::NoSubscriber};

/// A client within the process.
pub struct Api {
    app: BoxEndpoint<'static, Response>,
    events: Events,
}

impl Api {
    pub fn new(context: Context) -> Self {
        Self { events: context.events.clone(), app: app(context) }
    }

    /// What happens to tasks, from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Calls an operation with a session's token. Answers `data`.
    ///
    /// # Errors
    /// The API's own message when it refuses.
    pub async fn call(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let mut request = Request::builder()
            .method(method)
            .uri(path.parse::<Uri>()?)
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if body.is_some() {
            request = request.content_type("application/json");
        }
        let request = request.body(body.map(Value::to_string).unwrap_or_default());
        // What this process asks of itself is no entry of the access log.
        let silent = NoSubscriber::default();
        let response = self.app.get_response(request).with_subscriber(silent).await;
        let text = response.into_body().into_string().await.context("the answer cannot be read")?;
        let answer: Value = serde_json::from_str(&text).context("the answer is no JSON")?;
        if answer["success"] != true {
            bail!("{path}: {}", answer["message"].as_str().unwrap_or("no message"));
        }
        Ok(answer["data"].clone())
    }
}
