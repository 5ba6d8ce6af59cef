//! Events through Redis pub/sub.

use std::time::Duration;

use futures::StreamExt;
use redis::{AsyncCommands, Client, aio::ConnectionManager};
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Event, read_word, word};
use crate::{bell::connection_config, domain::project::ProjectId};

const CHANNEL: &str = "olake:events";
const PAUSE: Duration = Duration::from_secs(1);

/// An event as it travels. `from` is the sender, which has told its own listeners already.
#[derive(Serialize, Deserialize)]
struct Wire {
    from: Uuid,
    task: Uuid,
    project: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<i64>,
    what: String,
}

pub(super) async fn publish(
    client: Client,
    me: Uuid,
    mut queue: mpsc::Receiver<Event>,
    shutdown: CancellationToken,
) {
    let mut connection = match ConnectionManager::new_lazy_with_config(client, connection_config()) {
        Ok(connection) => connection,
        Err(error) => return tracing::error!(%error, "events: Redis cannot be used"),
    };
    while let Some(Some(event)) = shutdown.run_until_cancelled(queue.recv()).await {
        let wire = Wire {
            from: me,
            task: event.task,
            project: event.project.as_str().to_owned(),
            job: event.job,
            what: word(event.what).to_owned(),
        };
        let Ok(text) = serde_json::to_string(&wire) else { continue };
        if let Err(error) = connection.publish::<_, _, ()>(CHANNEL, text).await {
            tracing::debug!(%error, "events: not published; whoever waits looks at the row");
        }
    }
}

pub(super) async fn listen(
    client: Client,
    me: Uuid,
    local: broadcast::Sender<Event>,
    gaps: watch::Sender<u64>,
    shutdown: CancellationToken,
) {
    let mut first = true;
    loop {
        let listening = || {
            if !std::mem::take(&mut first) {
                gaps.send_modify(|number| *number += 1);
            }
        };
        let lost = shutdown.run_until_cancelled(listen_once(&client, me, &local, listening)).await;
        let Some(lost) = lost else { return };
        if let Err(error) = lost {
            tracing::warn!(%error, "events: the connection to Redis is lost, connecting again");
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
}

/// Listens until the connection is lost; `listening` is called once it is there.
async fn listen_once(
    client: &Client,
    me: Uuid,
    local: &broadcast::Sender<Event>,
    listening: impl FnOnce(),
) -> redis::RedisResult<()> {
    let mut connection = client.get_async_pubsub().await?;
    connection.subscribe(CHANNEL).await?;
    listening();
    let mut messages = connection.into_on_message();
    while let Some(message) = messages.next().await {
        let Ok(wire) = serde_json::from_slice::<Wire>(message.get_payload_bytes()) else { continue };
        if wire.from == me {
            continue;
        }
        let Some(what) = read_word(&wire.what) else { continue };
        let _ =
            local.send(Event { task: wire.task, project: ProjectId::new(wire.project), job: wire.job, what });
    }
    Ok(())
}
