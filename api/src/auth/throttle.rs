//! Counts logins that fail, by user name and by client address, so that passwords cannot be guessed by trying.
//!
//! Only failures are held against a name or an address. Attempts under way take the places of the failures that they may
//! become: when there are none left, further attempts wait until it is known. So a hundred guesses at the same time get no
//! further than a hundred in a row, and a hundred right logins all pass. The table is bounded; the oldest entry makes room.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

/// Failures of one user name that are let through in a [`WINDOW`].
const PER_USER: u32 = 10;
/// Failures of one address: more, since an office shares one.
const PER_ADDRESS: u32 = 50;
/// How long a failure counts.
const WINDOW: TimeDelta = TimeDelta::minutes(5);
/// Entries that are kept at most.
const CAPACITY: usize = 20_000;

/// The table of failures.
#[derive(Debug, Default)]
pub struct Throttle {
    entries: Mutex<HashMap<Key, Entry>>,
    /// Told whenever an attempt has ended.
    ended: Notify,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(String),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    since: DateTime<Utc>,
    failures: u32,
    under_way: u32,
}

/// An attempt that has begun. It counts only if it is told to have [`failed`](Attempt::failed).
#[derive(Debug)]
pub struct Attempt<'a> {
    throttle: &'a Throttle,
    keys: Vec<Key>,
}

/// What becomes of an attempt that wants to begin.
enum Turn {
    Now,
    Later,
    /// Not before this many seconds have passed.
    Never(u64),
}

impl Throttle {
    /// Begins an attempt, once it is its turn.
    ///
    /// # Errors
    /// The seconds to wait, when there were too many failures.
    pub async fn begin(
        &self,
        username: &str,
        address: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<Attempt<'_>, u64> {
        let mut keys = vec![Key::User(username.to_owned())];
        keys.extend(address.map(Key::Address));
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            // Listened to before the look, so that no end is missed in between.
            ended.as_mut().enable();
            match self.turn(&keys, now) {
                Turn::Now => return Ok(Attempt { throttle: self, keys }),
                Turn::Later => ended.await,
                Turn::Never(seconds) => return Err(seconds),
            }
        }
    }

    /// Takes the places of an attempt if there are some.
    fn turn(&self, keys: &[Key], now: DateTime<Utc>) -> Turn {
        let mut entries = self.lock();
        let mut is_full = false;
        for key in keys {
            let Some(entry) = entries.get(key) else { continue };
            let failures = if entry.counts(now) { entry.failures } else { 0 };
            if failures >= key.limit() {
                let wait = (entry.since + WINDOW - now).num_seconds().max(0) + 1;
                return Turn::Never(wait.unsigned_abs());
            }
            is_full |= failures + entry.under_way >= key.limit();
        }
        if is_full {
            return Turn::Later;
        }
        for key in keys {
            let fresh = Entry { since: now, failures: 0, under_way: 0 };
            entries.entry(key.clone()).or_insert(fresh).under_way += 1;
        }
        make_room(&mut entries, now);
        Turn::Now
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    /// Name or password were wrong.
    pub fn failed(self, now: DateTime<Utc>) {
        let mut entries = self.throttle.lock();
        for key in &self.keys {
            let Some(entry) = entries.get_mut(key) else { continue };
            if !entry.counts(now) || entry.failures == 0 {
                (entry.since, entry.failures) = (now, 0);
            }
            entry.failures += 1;
        }
    }

    /// The name's failures are forgotten. The address keeps its own: whoever has one account must not use it to go on
    /// guessing others.
    pub fn succeeded(self) {
        let mut entries = self.throttle.lock();
        for key in self.keys.iter().filter(|key| matches!(key, Key::User(_))) {
            if let Some(entry) = entries.get_mut(key) {
                entry.failures = 0;
            }
        }
    }
}

impl Drop for Attempt<'_> {
    /// Gives the places back; also when the client has gone, or the database failed.
    fn drop(&mut self) {
        let mut entries = self.throttle.lock();
        for key in &self.keys {
            let Some(entry) = entries.get_mut(key) else { continue };
            entry.under_way = entry.under_way.saturating_sub(1);
            if entry.under_way == 0 && entry.failures == 0 {
                entries.remove(key);
            }
        }
        drop(entries);
        self.throttle.ended.notify_waiters();
    }
}

impl Key {
    fn limit(&self) -> u32 {
        match self {
            Self::User(_) => PER_USER,
            Self::Address(_) => PER_ADDRESS,
        }
    }
}

impl Entry {
    fn counts(&self, now: DateTime<Utc>) -> bool {
        now - self.since < WINDOW
    }
}

fn make_room(entries: &mut HashMap<Key, Entry>, now: DateTime<Utc>) {
    if entries.len() <= CAPACITY {
        return;
    }
    entries.retain(|_, entry| entry.under_way > 0 || entry.counts(now));
    if entries.len() <= CAPACITY {
        return;
    }
    // A tenth at once, so that a flood does not pay for this at each attempt.
    let mut ages = entries.values().map(|entry| entry.since).collect::<Vec<_>>();
    let (_, limit, _) = ages.select_nth_unstable(CAPACITY / 10);
    let limit = *limit;
    entries.retain(|_, entry| entry.under_way > 0 || entry.since > limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    async fn fail(throttle: &Throttle, username: &str, address: Option<IpAddr>, now: DateTime<Utc>) {
        throttle.begin(username, address, now).await.unwrap().failed(now);
    }

    #[tokio::test]
    async fn a_name_is_held_back_after_ten_failures_until_the_window_has_passed() {
        let throttle = Throttle::default();
        for second in 0..10 {
            fail(&throttle, "ann", None, at(second)).await;
        }
        assert_eq!(throttle.begin("ann", None, at(10)).await.unwrap_err(), 291);
        assert!(throttle.begin("bob", None, at(10)).await.is_ok());
        assert!(throttle.begin("ann", None, at(300)).await.is_ok());
    }

    #[tokio::test]
    async fn an_address_is_held_back_whatever_names_it_tries() {
        let throttle = Throttle::default();
        for number in 0..50 {
            fail(&throttle, &format!("user{number}"), Some(HERE), at(0)).await;
        }
        assert!(throttle.begin("another", Some(HERE), at(1)).await.is_err());
        assert!(throttle.begin("another", None, at(1)).await.is_ok());
    }

    #[tokio::test]
    async fn a_success_clears_the_name_and_not_the_address() {
        let throttle = Throttle::default();
        for _ in 0..9 {
            fail(&throttle, "ann", Some(HERE), at(0)).await;
        }
        throttle.begin("ann", Some(HERE), at(0)).await.unwrap().succeeded();
        for _ in 0..10 {
            fail(&throttle, "ann", None, at(1)).await;
        }
        assert!(throttle.begin("ann", None, at(1)).await.is_err());
        assert_eq!(throttle.lock()[&Key::Address(HERE)].failures, 9);
    }

    #[tokio::test]
    async fn attempts_under_way_are_no_failures_and_let_no_more_guesses_pass() {
        let throttle = Throttle::default();
        let mut under_way = Vec::new();
        for _ in 0..10 {
            under_way.push(throttle.begin("ann", None, at(0)).await.unwrap());
        }
        let mut next = std::pin::pin!(throttle.begin("ann", None, at(0)));
        assert!(futures::poll!(next.as_mut()).is_pending(), "it waits for the others");
        under_way.pop().unwrap().succeeded();
        let next = next.await.unwrap();
        for attempt in under_way {
            attempt.failed(at(1));
        }
        let mut eleventh = std::pin::pin!(throttle.begin("ann", None, at(1)));
        assert!(futures::poll!(eleventh.as_mut()).is_pending());
        next.failed(at(1));
        assert!(eleventh.await.is_err(), "ten have failed");
    }

    #[tokio::test]
    async fn an_attempt_that_is_given_up_counts_for_nothing() {
        let throttle = Throttle::default();
        for _ in 0..20 {
            drop(throttle.begin("ann", Some(HERE), at(0)).await.unwrap());
        }
        assert!(throttle.lock().is_empty());
    }

    #[tokio::test]
    async fn the_table_stays_bounded_under_a_flood_of_names() {
        let throttle = Throttle::default();
        for number in 0..(CAPACITY as i64 + 5_000) {
            fail(&throttle, &number.to_string(), None, at(0) + TimeDelta::microseconds(number)).await;
        }
        assert!(throttle.lock().len() <= CAPACITY + 1);
    }
}
