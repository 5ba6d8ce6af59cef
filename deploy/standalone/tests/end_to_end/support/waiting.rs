//! Waiting for conditions.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// How long anything is waited for. A test that waits so long fails: no test depends on it being short.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until there is something.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Looks until it is so.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}
