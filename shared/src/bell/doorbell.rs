//! When an apalis worker looks into its queue: on every push, on a slow tick, and never without a free place.
//!
//! apalis' own poll strategies wake a worker but do not hold it back: it fetches whenever it is polled, at each heartbeat
//! too, and some of them lose their wake-up. This backend asks the one below only when a place is free, and is woken by
//! a task that merges the tick with the pushes.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apalis_core::{
    backend::{Backend, BackendConfig, WireFormatBackend},
    worker::context::WorkerContext,
};
use apalis_redis::RedisStorage;
use futures::{StreamExt, channel::mpsc};
use tokio::sync::{Notify, watch};

use super::Ring;

type Inner = RedisStorage<Ring>;

/// The slow tick: what a lost push costs at most.
const TICK: Duration = Duration::from_millis(500);

/// A queue of bells that is fetched from only while a place is free.
pub struct Doorbell {
    queue: Inner,
    feed: mpsc::Receiver<()>,
    free: watch::Receiver<bool>,
}

impl Backend for Doorbell {
    type Task = <Inner as Backend>::Task;
    type Error = <Inner as Backend>::Error;

    fn poll_ready(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        Backend::poll_ready(&mut self.queue, cx, worker)
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Self::Error>>> {
        // Emptied to the end, so that a waker is always left with the feed.
        while matches!(self.feed.poll_next_unpin(cx), Poll::Ready(Some(()))) {}
        if *self.free.borrow() { self.queue.poll_next(cx, worker) } else { Poll::Pending }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Result<(), Self::Error>> {
        Backend::poll_close(&mut self.queue, cx, worker)
    }
}

impl BackendConfig for Doorbell {
    type Args = <Inner as BackendConfig>::Args;
    type Id = <Inner as BackendConfig>::Id;
    type Kind = <Inner as BackendConfig>::Kind;
    type Config = <Inner as BackendConfig>::Config;
    type Layer = <Inner as BackendConfig>::Layer;

    fn config(&self) -> &Self::Config {
        self.queue.config()
    }

    fn middleware(&mut self, worker: &mut WorkerContext) -> Self::Layer {
        self.queue.middleware(worker)
    }
}

impl WireFormatBackend for Doorbell {
    type Codec = <Inner as WireFormatBackend>::Codec;
    type Compact = <Inner as WireFormatBackend>::Compact;

    fn codec(&self) -> &Self::Codec {
        self.queue.codec()
    }
}

/// A doorbell on a queue, and the future that wakes it, to be run beside the worker.
pub fn doorbell(
    queue: Inner,
    pushed: Arc<Notify>,
    free: watch::Receiver<bool>,
) -> (Doorbell, impl Future<Output = ()> + Send + 'static) {
    let (mut feeder, feed) = mpsc::channel(1);
    let mut is_free = free.clone();
    let feeding = async move {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! { _ = tick.tick() => {}, () = pushed.notified() => {} }
            if is_free.wait_for(|free| *free).await.is_err() {
                return;
            }
            // Full means that the worker has not looked yet: one look is enough.
            if feeder.try_send(()).is_err_and(|e| e.is_disconnected()) {
                return;
            }
        }
    };
    (Doorbell { queue, feed, free }, feeding)
}
