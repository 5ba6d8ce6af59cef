//! The worker's own port: `/health`, `/ready` and `/metrics`. Not for the outside.

use std::{fmt::Write, io, sync::Arc, time::Duration};

use olake_shared::{bell::Bell, config::Listen, domain::task::PlaceClass, store::Store};
use poem::{
    Endpoint, EndpointExt, IntoResponse, Response, Route, Server, get, handler,
    http::StatusCode,
    listener::{Listener, TcpAcceptor, TcpListener},
    web::{Data, Json},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::launch::Launcher;

/// How long answers that are on their way may take when the worker stops: the database may be gone.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// The port cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("worker.listen (OLAKE_WORKER_LISTEN): {address} cannot be listened on: {source}")]
pub struct HealthError {
    address: String,
    source: io::Error,
}

/// A bound port that does not answer yet.
pub struct Health {
    acceptor: TcpAcceptor,
}

/// Binds the port.
///
/// # Errors
/// [`HealthError`] when it is taken.
pub async fn bind(listen: Listen) -> Result<Health, HealthError> {
    // One address is enough here: nothing but probes of this machine or pod comes to it.
    let address = listen.addresses().first().map(ToString::to_string).unwrap_or_default();
    match TcpListener::bind(address.clone()).into_acceptor().await {
        Ok(acceptor) => Ok(Health { acceptor }),
        Err(source) => Err(HealthError { address, source }),
    }
}

impl Health {
    /// Answers until `stop`.
    pub async fn serve(self, store: Store, bell: Bell, launcher: Arc<dyn Launcher>, stop: CancellationToken) {
        let served = Server::new_with_acceptor(self.acceptor)
            .run_with_graceful_shutdown(app(store, bell, launcher), stop.cancelled(), Some(LAST_ANSWERS))
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the health port ended");
        }
    }
}

/// The endpoints.
pub fn app(store: Store, bell: Bell, launcher: Arc<dyn Launcher>) -> impl Endpoint<Output = Response> {
    Route::new()
        .at("/health", get(alive))
        .at("/ready", get(ready))
        .at("/metrics", get(metrics))
        .data(store)
        .data(bell)
        .data(launcher)
        .map_to_response()
}

#[handler]
fn alive() -> Json<serde_json::Value> {
    Json(json!({"status": "ok"}))
}

#[handler]
async fn ready(store: Data<&Store>, bell: Data<&Bell>) -> Response {
    let (database, bell) = tokio::join!(store.ping(), bell.ping());
    // The reasons go to the log only: they name hosts.
    if let Err(error) = &database {
        tracing::warn!(%error, "not ready: the database does not answer");
    }
    if let Err(error) = &bell {
        tracing::warn!(%error, "not ready: the bell does not answer");
    }
    let word = |ok| if ok { "ok" } else { "unreachable" };
    let all = database.is_ok() && bell.is_ok();
    let body = json!({
        "status": word(all),
        "database": word(database.is_ok()),
        "bell": word(bell.is_ok()),
    });
    let status = if all { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Json(body).with_status(status).into_response()
}

/// Gauges in Prometheus' text form.
#[handler]
async fn metrics(store: Data<&Store>, bell: Data<&Bell>, launcher: Data<&Arc<dyn Launcher>>) -> Response {
    let mut text =
        String::from("# HELP olake_tasks Tasks by class of places and status.\n# TYPE olake_tasks gauge\n");
    match store.queue().depths().await {
        Ok(depths) => {
            for (class, status, number) in depths {
                let _ = writeln!(text, "olake_tasks{{class=\"{class}\",status=\"{status}\"}} {number}");
            }
        }
        Err(error) => tracing::warn!(%error, "the queue was not counted"),
    }
    text.push_str(
        "# HELP olake_bell_waiting Bells that nobody has heard yet.\n# TYPE olake_bell_waiting gauge\n\
         # HELP olake_bell_done Entries of bells that were heard and are not trimmed yet.\n# TYPE olake_bell_done gauge\n",
    );
    for class in PlaceClass::ALL {
        if let Ok(gauges) = bell.gauges(*class).await {
            let _ = writeln!(text, "olake_bell_waiting{{class=\"{class}\"}} {}", gauges.waiting);
            let _ = writeln!(text, "olake_bell_done{{class=\"{class}\"}} {}", gauges.done);
        }
    }
    text.push_str(&launcher.metrics());
    text.with_content_type("text/plain; version=0.0.4").into_response()
}
