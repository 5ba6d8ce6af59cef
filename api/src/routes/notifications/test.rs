//! `POST P/settings/notifications/test`.

use std::time::Duration;

use olake_shared::{
    domain::webhook::DeliveryStatus,
    events::{Event, What},
    store::{ProjectStore, StoreError, notifications::log::DeliveryRecord},
};
use uuid::Uuid;

use super::item::DeliveryItem;
use crate::{
    context::Context,
    envelope::{Answer, ok},
    problem::Problem,
    routes::{connections::known, scope},
};

/// How often the delivery is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How long it is waited for: a call takes 10 seconds at most, and a worker must come to it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Delivers a test and waits for what comes of it.
pub async fn test(context: &Context, project: &str) -> Answer<DeliveryItem> {
    let project = scope::project(context, project).await?;
    known::live(context).await?;
    let id = project.create_test_delivery().await?;
    context.events.publish(Event {
        task: id,
        project: project.project().clone(),
        job: None,
        what: What::Notification,
    });
    let settled = tokio::select! {
        settled = settled(&project, id) => settled?,
        () = context.shutdown.cancelled() => return Err(Problem::unavailable("the server is stopping")),
        () = tokio::time::sleep(DEADLINE) => {
            let seconds = DEADLINE.as_secs();
            return Err(Problem::unavailable(format!("no worker has delivered the test within {seconds} seconds")));
        }
    };
    let message = match settled.status {
        DeliveryStatus::Delivered => "the receiver took the test",
        DeliveryStatus::Pending | DeliveryStatus::Failed => "the test was not delivered",
    };
    ok(message, settled.into())
}

async fn settled(project: &ProjectStore, id: Uuid) -> Result<DeliveryRecord, StoreError> {
    loop {
        let record = project.delivery(id).await?;
        if record.status != DeliveryStatus::Pending {
            return Ok(record);
        }
        tokio::time::sleep(LOOK).await;
    }
}
