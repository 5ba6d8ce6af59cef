//! When an apalis worker looks into its queue: on every push, on a slow tick, and never without a free place.
//!
//! apalis' own strategies lose their wake-up when a fetch resolves in the same poll, or never hear of a push. This one
//! is fed by a task that merges the tick with the pushes, and always leaves a waker.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use apalis_core::backend::ext::poll_strategy::{PollSnapshot, PollStrategy};
use futures::{StreamExt, channel::mpsc};
use tokio::sync::{Notify, watch};

/// The slow tick: what a lost push costs at most.
const TICK: Duration = Duration::from_millis(500);

/// The polling side. A clone shares the feed.
#[derive(Clone, Debug)]
pub struct Doorbell(Arc<Mutex<mpsc::Receiver<()>>>);

impl PollStrategy for Doorbell {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        match self.0.lock() {
            Ok(mut feed) => feed.poll_next_unpin(cx),
            Err(_) => Poll::Ready(None),
        }
    }
}

/// A doorbell and the future that feeds it, to be run beside the worker.
pub fn doorbell(
    pushed: Arc<Notify>,
    mut free: watch::Receiver<bool>,
) -> (Doorbell, impl Future<Output = ()> + Send + 'static) {
    let (mut feed, strategy) = mpsc::channel(1);
    let feeding = async move {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! { _ = tick.tick() => {}, () = pushed.notified() => {} }
            if free.wait_for(|free| *free).await.is_err() {
                return;
            }
            // Full means that the worker has not looked yet: one look is enough.
            if feed.try_send(()).is_err_and(|e| e.is_disconnected()) {
                return;
            }
        }
    };
    (Doorbell(Arc::new(Mutex::new(strategy))), feeding)
}
