//! How many calls of the Kubernetes API are made: so many per second, and so many at once. A call that would be one too
//! many waits; that it did is counted, and said when it waited for long.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Calls that wait longer than this are told in the log.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// That is told once in so long.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// A bucket that fills with so many calls per second.
pub struct Budget {
    per_second: f64,
    burst: f64,
    state: Mutex<State>,
    /// In microseconds.
    waited: AtomicU64,
}

struct State {
    /// Calls that may be made now. Below zero: calls that wait.
    left: f64,
    at: Instant,
    told: Option<Instant>,
}

impl Budget {
    /// A full bucket.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let state = State { left: f64::from(burst), at: Instant::now(), told: None };
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst),
            state: Mutex::new(state),
            waited: AtomicU64::new(0),
        }
    }

    /// Waits until a call may be made.
    pub async fn take(&self) {
        let wait = self.reserve(Instant::now());
        if !wait.is_zero() {
            let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
            self.waited.fetch_add(micros, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
        }
    }

    /// How long calls have waited so far, all together.
    pub fn waited(&self) -> Duration {
        Duration::from_micros(self.waited.load(Ordering::Relaxed))
    }

    fn reserve(&self, now: Instant) -> Duration {
        let Ok(mut state) = self.state.lock() else { return Duration::ZERO };
        let since = now.saturating_duration_since(state.at).as_secs_f64();
        state.left = (state.left + since * self.per_second).min(self.burst) - 1.0;
        state.at = now;
        if state.left >= 0.0 {
            return Duration::ZERO;
        }
        let wait = Duration::from_secs_f64(-state.left / self.per_second);
        if wait > WORTH_TELLING && state.told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
            state.told = Some(now);
            tracing::warn!(
                seconds = wait.as_secs_f64(),
                "calls of the Kubernetes API are held back; kubernetes.qps and kubernetes.burst allow more"
            );
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_what_follows_waits_its_turn() {
        let budget = Budget::new(10, 5);
        let begin = Instant::now();
        let waits: Vec<u128> = (0..8).map(|_| budget.reserve(begin).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 100, 200, 300]);
        let later = begin + Duration::from_secs(60);
        let waits: Vec<u128> = (0..7).map(|_| budget.reserve(later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 100, 200], "no more than the burst is saved up");
    }

    #[tokio::test]
    async fn what_was_waited_for_is_counted() {
        let budget = Budget::new(1_000, 1);
        budget.take().await;
        assert_eq!(budget.waited(), Duration::ZERO);
        for _ in 0..20 {
            budget.take().await;
        }
        assert!(budget.waited() > Duration::ZERO);
    }
}
