//! Delivers notifications.
//!
//! Woken when a task of a job ends, when a person tries a webhook, and by the timer. A claim lasts longer than a call may
//! take, so one worker delivers at a time; whoever does not come to settle its claim leaves it to run out.

use std::{sync::Arc, time::Duration};

use olake_shared::{
    domain::webhook::NotificationEvent,
    events::{Event, What},
    store::{
        StoreError,
        notifications::outbox::{Answer, Delivery, Verdict},
    },
};
use tokio::sync::{
    Notify, Semaphore,
    broadcast::{Receiver, error::RecvError},
};

use super::Worker;

/// Calls at a time.
const PLACES: usize = 8;

/// How long a claim lasts beyond the time that a call may take.
const LEASE_SLACK: Duration = Duration::from_secs(50);

/// How often the outcome of a call is written while the database does not answer, and the pause between.
const SETTLE_TRIES: u32 = 20;
const SETTLE_PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn run(worker: Arc<Worker>) {
    let mut events = worker.events.subscribe();
    let (places, freed) = (Arc::new(Semaphore::new(PLACES)), Arc::new(Notify::new()));
    loop {
        if let Err(error) = deliver_due(&worker, &places, &freed).await {
            tracing::warn!(%error, "notifications were not looked for");
        }
        tokio::select! {
            () = worker.stop.cancelled() => return,
            () = worker.look.notified() => {}
            () = freed.notified() => {}
            () = rung(&mut events) => {}
            () = tokio::time::sleep(worker.settings.reconcile) => {}
        }
    }
}

/// Waits for an event after which something may be due.
async fn rung(events: &mut Receiver<Event>) {
    loop {
        match events.recv().await {
            Ok(event) if concerns(&event) => return,
            Ok(_) => {}
            // One of the lost ones may have been.
            Err(RecvError::Lagged(_)) => return,
            // Only the timer is left.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn concerns(event: &Event) -> bool {
    match event.what {
        What::Notification => true,
        What::Status(status) => status.is_end() && event.job.is_some(),
        What::Created | What::CancelWish | What::Progress | What::Recorded => false,
    }
}

/// Claims as much as there are places, and delivers it side by side.
async fn deliver_due(
    worker: &Arc<Worker>,
    places: &Arc<Semaphore>,
    freed: &Arc<Notify>,
) -> Result<(), StoreError> {
    let free = places.available_permits();
    if free == 0 {
        return Ok(());
    }
    let lease = worker.caller.policy.timeout + LEASE_SLACK;
    for delivery in worker.queue.claim_deliveries(free as u64, lease).await? {
        // This loop alone takes places, so there is one.
        let Ok(place) = places.clone().try_acquire_owned() else { return Ok(()) };
        let (worker, freed) = (worker.clone(), freed.clone());
        worker.tracker.clone().spawn(async move {
            deliver(&worker, &delivery).await;
            drop(place);
            freed.notify_one();
        });
    }
    Ok(())
}

async fn deliver(worker: &Worker, delivery: &Delivery) {
    let (answer, verdict) = match worker.stop.run_until_cancelled(worker.caller.call(delivery)).await {
        Some(Ok(code)) if code.is_success() => {
            (Answer { code: Some(code.as_u16()), message: "the receiver took it".into() }, Verdict::Delivered)
        }
        Some(Ok(code)) => {
            let hint = if code.is_redirection() { "; redirects are not followed" } else { "" };
            let message = format!("the receiver answered {code}{hint}");
            (Answer { code: Some(code.as_u16()), message }, again(worker, delivery))
        }
        Some(Err(error)) => {
            let verdict = if error.is_final() { Verdict::GivenUp } else { again(worker, delivery) };
            (Answer { code: None, message: error.to_string() }, verdict)
        }
        None => {
            let message = "the worker was stopped before the answer came".to_owned();
            (Answer { code: None, message }, Verdict::Again(Duration::ZERO))
        }
    };
    if verdict != Verdict::Delivered {
        tracing::warn!(
            delivery.id = %delivery.id, project.id = %delivery.project, attempt = delivery.attempt,
            reason = answer.message, "a notification was not delivered"
        );
    }
    settle(worker, delivery, &answer, verdict).await;
}

/// A test is not tried again: the person who asked for it waits for the answer.
fn again(worker: &Worker, delivery: &Delivery) -> Verdict {
    match delivery.event {
        NotificationEvent::Test => Verdict::GivenUp,
        _ => Verdict::Again(worker.caller.policy.wait_after(delivery.attempt)),
    }
}

async fn settle(worker: &Worker, delivery: &Delivery, answer: &Answer, verdict: Verdict) {
    for _ in 0..SETTLE_TRIES {
        match worker.queue.settle_delivery(delivery.id, delivery.attempt, answer, verdict).await {
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(delivery.id = %delivery.id, %error, "what a webhook answered was not stored yet");
                let pause = tokio::time::sleep(SETTLE_PAUSE);
                if worker.stop.run_until_cancelled(pause).await.is_none() {
                    return;
                }
            }
        }
    }
}
