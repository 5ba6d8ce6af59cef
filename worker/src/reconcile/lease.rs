//! The lease of this worker: a row that says it lives, by the database's clock.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::Worker;

/// What this worker knows of its own lease, by its own clock.
pub struct Lease {
    length: Duration,
    state: Mutex<State>,
}

struct State {
    /// When the last renewal was asked for that succeeded.
    renewed: Option<Instant>,
    /// Since when no renewal was late: a worker that was cut off must not take others' tasks at once.
    unbroken_since: Option<Instant>,
}

impl Lease {
    pub fn new(length: Duration) -> Self {
        Self { length, state: Mutex::new(State { renewed: None, unbroken_since: None }) }
    }

    /// A renewal that was asked for at `asked` has succeeded.
    pub fn renewed_at(&self, asked: Instant) {
        let Ok(mut state) = self.state.lock() else { return };
        let broken = state.renewed.is_none_or(|before| asked.duration_since(before) >= self.length);
        if broken {
            state.unbroken_since = Some(asked);
        }
        state.renewed = Some(asked);
    }

    /// Whether the lease holds now: tasks are claimed only then.
    pub fn holds(&self) -> bool {
        self.state.lock().is_ok_and(|state| state.renewed.is_some_and(|at| at.elapsed() < self.length))
    }

    /// Whether it has held for a whole lease without a gap: only then are tasks of others taken back. When the database
    /// was away, every worker looks dead to every other until each had the time to renew.
    pub fn is_settled(&self) -> bool {
        self.holds()
            && self
                .state
                .lock()
                .is_ok_and(|state| state.unbroken_since.is_some_and(|at| at.elapsed() >= self.length))
    }
}

/// Renews the lease until `ended`.
pub(super) async fn run(worker: Arc<Worker>, ended: CancellationToken) {
    let every = worker.settings.lease / 3;
    while ended.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        let asked = Instant::now();
        // A database whose host is gone answers nothing: the next try may reach another.
        let renewal = tokio::time::timeout(every, worker.queue.renew(worker.id, worker.settings.lease)).await;
        let Ok(renewal) = renewal else {
            tracing::warn!("the lease was not renewed: the database does not answer");
            continue;
        };
        match renewal {
            Ok(true) => {
                worker.lease.renewed_at(asked);
                worker.tell_changes().await;
            }
            Ok(false) => {
                tracing::warn!(worker.id = %worker.id, "the worker's row is gone, registering again");
                let row = worker.row();
                let registered = worker.queue.register(&row, worker.settings.lease);
                if matches!(tokio::time::timeout(every, registered).await, Ok(Ok(()))) {
                    worker.lease.renewed_at(asked);
                }
            }
            Err(error) => tracing::warn!(%error, "the lease was not renewed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_gap_nothing_is_taken_over_for_one_lease() {
        let length = Duration::from_secs(3600);
        let lease = Lease::new(length);
        assert!(!lease.holds());
        let long_ago = Instant::now().checked_sub(3 * length);
        let Some(long_ago) = long_ago else { return };
        lease.renewed_at(long_ago);
        assert!(!lease.holds());
        lease.renewed_at(long_ago + length / 2);
        lease.renewed_at(Instant::now());
        assert!(lease.holds() && !lease.is_settled(), "there was a gap before this renewal");
    }
}
