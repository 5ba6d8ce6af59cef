//! Time as a parameter. Whoever needs the time takes a [`Clock`]; [`SystemClock`] is the one place which asks the
//! machine, and tests set a [`TestClock`].
//!
//! Invariant: every time is UTC and cut to microseconds, which is what both databases keep, so that a time read back
//! equals the time written. Leases and "not before" do not use this clock, but the database's.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time now, in UTC, cut to microseconds.
    fn now(&self) -> DateTime<Utc>;
}

/// A clock which many parts hold.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clock, ready to be handed out.
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
    fn now(&self) -> DateTime<Utc> {
        from_micros(Utc::now().timestamp_micros())
    }
}

/// A clock which stands still until a test moves it.
#[derive(Debug)]
pub struct TestClock {
    micros: AtomicI64,
}

impl TestClock {
    /// A clock that stands at `time`.
    pub fn at(time: DateTime<Utc>) -> Self {
        Self { micros: AtomicI64::new(time.timestamp_micros()) }
    }

    /// Moves the clock to `time`, forward or back.
    pub fn set(&self, time: DateTime<Utc>) {
        self.micros.store(time.timestamp_micros(), Ordering::SeqCst);
    }

    /// Moves the clock on by `step` (back, if it is negative).
    pub fn advance(&self, step: TimeDelta) {
        // Longer than i64 microseconds are 292,000 years: such a step stops at the end of time.
        let micros = step.num_microseconds().unwrap_or(i64::MAX);
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Default for TestClock {
    /// Stands at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self { micros: AtomicI64::new(1_767_225_600_000_000) }
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        from_micros(self.micros.load(Ordering::SeqCst))
    }
}

fn from_micros(micros: i64) -> DateTime<Utc> {
    // Out of range are only years beyond 262,000, which a test could set: the last time there is stands for them.
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_has_no_nanoseconds() {
        assert_eq!(SystemClock.now().timestamp_subsec_nanos() % 1_000, 0);
    }

    #[test]
    fn a_test_clock_moves_only_when_told() {
        let clock = TestClock::default();
        let start = clock.now();
        assert_eq!(start.to_rfc3339(), "2026-01-01T00:00:00+00:00");
        assert_eq!(clock.now(), start);
        clock.advance(TimeDelta::seconds(90));
        assert_eq!(clock.now() - start, TimeDelta::seconds(90));
        clock.set(start);
        assert_eq!(clock.now(), start);
    }

    #[test]
    fn times_are_cut_to_microseconds() {
        let time = DateTime::from_timestamp(1, 123_456_789).unwrap();
        assert_eq!(TestClock::at(time).now().timestamp_subsec_nanos(), 123_456_000);
    }
}
