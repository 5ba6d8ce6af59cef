//! Following a connector: what it tells is written, and it is told to stop when there is a reason.

use std::{sync::atomic::Ordering, time::Duration};

use olake_shared::{
    domain::task::TaskPhase,
    step::{Moment, Step, reach},
    store::tasks::claim::Work,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{
    super::{running::StopReason, writes::Write},
    Attempt, GATHER_FOR,
};
use crate::launch::{Ended, Running, Update};

/// What following a connector came to.
pub(super) enum Followed {
    /// It has ended, and nothing of it lives.
    Ended(Box<Ended>),
    /// Nobody will tell of its end.
    Vanished,
    /// It is followed no longer, and goes on under another worker.
    Left,
    /// A person has ended it by force: what became of it is unknown.
    Forced,
}

impl Attempt<'_> {
    /// Writes what the connector leaves until it has ended. Beside that, whatever the writes wait for, tells it to stop
    /// when there is a reason.
    pub(super) async fn follow(&mut self, running: Running) -> Followed {
        let (mut updates, control) = running.split();
        let (entry, writer) = (self.entry, self.writer.clone());
        let outlives_worker = self.worker.launcher.outlives_worker();
        // A sync's deadline counts from the start of its connector, not from the wait for its start guard. For a short call
        // somebody waits from the beginning; but not for a machine to be found, and an image to be fetched.
        let counts_at_once = matches!(self.task.work, Work::OneShot(_)) && !outlives_worker;
        let worker_stops = self.worker.stop.clone();
        let (started, mut has_started) = watch::channel(counts_at_once.then_some(Duration::ZERO));
        let is_lost = self.is_lost.clone();
        let deadline = self.deadline();
        let stopper = async move {
            let mut stop = entry.watch();
            let expired = async {
                let ran_for = has_started.wait_for(Option::is_some).await.ok().and_then(|ran_for| *ran_for);
                match ran_for {
                    Some(ran_for) => tokio::time::sleep(deadline.saturating_sub(ran_for)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = expired => entry.stop(StopReason::Deadline),
                () = told_to_stop(&mut stop) => {}
            }
            match entry.reason() {
                Some(StopReason::Forced) => return Followed::Forced,
                Some(StopReason::Shutdown | StopReason::Fenced) if outlives_worker => return Followed::Left,
                _ => {}
            }
            reach(Step::StopTold, Moment::Before);
            match entry.reason().and_then(StopReason::class) {
                Some(class) => control.stop_for(class),
                None => control.stop(),
            }
            reach(Step::StopTold, Moment::After);
            // Of a lost node's it stays said: it is what somebody may end by force.
            if entry.reason() != Some(StopReason::Fenced) && !is_lost.load(Ordering::Relaxed) {
                writer.phase(TaskPhase::Stopping, None).await;
            }
            // The control lives until the connector has ended: dropped, it may end it once more.
            let left = left(&mut stop, &worker_stops, outlives_worker).await;
            drop(control);
            left
        };
        tokio::select! {
            ended = self.take_updates(&mut updates, &started) => ended.map_or(Followed::Vanished, Followed::Ended),
            left = stopper => left,
        }
    }

    async fn take_updates(
        &mut self,
        updates: &mut mpsc::Receiver<Update>,
        started: &watch::Sender<Option<Duration>>,
    ) -> Option<Box<Ended>> {
        loop {
            let update = tokio::select! {
                update = updates.recv() => update,
                () = tokio::time::sleep(GATHER_FOR), if !self.lines.is_empty() => {
                    self.flush().await;
                    continue;
                }
            };
            match update {
                None => return None,
                Some(Update::Ended(ended)) => return Some(ended),
                Some(Update::Starting { phase, why }) => {
                    tracing::info!(task.id = %self.id(), %phase, why, "the start waits");
                    let was_lost = self.is_lost.swap(false, Ordering::Relaxed);
                    if self.entry.reason().is_none() {
                        self.writer.phase(phase, why.as_deref()).await;
                    } else if was_lost {
                        self.writer.phase(TaskPhase::Stopping, None).await;
                    }
                }
                Some(Update::Placed(placed)) => {
                    self.writer.persist(Write::Pod { name: &placed.pod, node: placed.node.as_deref() }).await;
                }
                Some(Update::Started { pid, ran_for }) => {
                    tracing::debug!(task.id = %self.id(), pid, "the connector runs");
                    started.send_if_modified(|since| since.replace(ran_for).is_none());
                    self.is_lost.store(false, Ordering::Relaxed);
                    let is_stopping = self.entry.reason().is_some();
                    let phase = if is_stopping { TaskPhase::Stopping } else { TaskPhase::Running };
                    self.writer.phase(phase, None).await;
                }
                Some(Update::Unreachable(why)) => {
                    tracing::warn!(task.id = %self.id(), why, "the node of a connector is not heard of");
                    self.is_lost.store(true, Ordering::Relaxed);
                    self.writer.phase(TaskPhase::NodeUnreachable, Some(&why)).await;
                }
                Some(Update::Progress(progress)) => self.write(*progress).await,
            }
        }
    }
}

/// Waits until a connector that was told to stop is to be followed no longer, which may never be.
async fn left(
    stop: &mut watch::Receiver<Option<StopReason>>,
    worker_stops: &CancellationToken,
    outlives_worker: bool,
) -> Followed {
    let unfollowed = async {
        let reason = stop.wait_for(|reason| match reason {
            Some(StopReason::Forced) => true,
            Some(StopReason::Fenced) => outlives_worker,
            _ => false,
        });
        reason.await.map(|reason| *reason == Some(StopReason::Forced))
    };
    tokio::select! {
        Ok(is_forced) = unfollowed => if is_forced { Followed::Forced } else { Followed::Left },
        () = worker_stops.cancelled(), if outlives_worker => Followed::Left,
        else => std::future::pending().await,
    }
}

/// Waits until a reason to stop is given.
async fn told_to_stop(stop: &mut watch::Receiver<Option<StopReason>>) {
    // An error says that nobody can give one any more.
    if stop.wait_for(Option::is_some).await.map(|_| ()).is_err() {
        std::future::pending::<()>().await;
    }
}
