//! Counts logins that fail, by user name and by client address, so that passwords cannot be guessed by trying.
//!
//! An attempt is counted when it begins and taken off again when it succeeds: a hundred attempts at the same time
//! get no further than a hundred in a row. The table is bounded; the oldest entry makes room.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};

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
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(String),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    since: DateTime<Utc>,
    attempts: u32,
}

/// An attempt that has begun. It counts as failed unless [`Throttle::succeeded`] is told otherwise.
#[derive(Debug)]
pub struct Attempt {
    keys: Vec<Key>,
}

impl Throttle {
    /// Begins an attempt.
    ///
    /// # Errors
    /// The seconds to wait, when there were too many.
    pub fn begin(&self, username: &str, address: Option<IpAddr>, now: DateTime<Utc>) -> Result<Attempt, u64> {
        let mut keys = vec![Key::User(username.to_owned())];
        keys.extend(address.map(Key::Address));
        let mut entries = self.lock();
        for key in &keys {
            let limit = match key {
                Key::User(_) => PER_USER,
                Key::Address(_) => PER_ADDRESS,
            };
            if let Some(entry) = entries.get(key).filter(|entry| entry.counts(now) && entry.attempts >= limit)
            {
                let wait = (entry.since + WINDOW - now).num_seconds().max(0) + 1;
                return Err(wait.unsigned_abs());
            }
        }
        for key in &keys {
            let fresh = Entry { since: now, attempts: 0 };
            let entry = entries.entry(key.clone()).or_insert(fresh);
            if !entry.counts(now) {
                *entry = fresh;
            }
            entry.attempts += 1;
        }
        make_room(&mut entries, now);
        Ok(Attempt { keys })
    }

    /// The attempt succeeded: the name's failures are forgotten, and the address loses this one only (whoever has one
    /// account must not use it to go on guessing others).
    pub fn succeeded(&self, attempt: &Attempt) {
        let mut entries = self.lock();
        for key in &attempt.keys {
            match key {
                Key::User(_) => {
                    entries.remove(key);
                }
                Key::Address(_) => {
                    if let Some(entry) = entries.get_mut(key) {
                        entry.attempts = entry.attempts.saturating_sub(1);
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
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
    entries.retain(|_, entry| entry.counts(now));
    if entries.len() <= CAPACITY {
        return;
    }
    // A tenth at once, so that a flood does not pay for this at each attempt.
    let mut ages = entries.values().map(|entry| entry.since).collect::<Vec<_>>();
    let (_, limit, _) = ages.select_nth_unstable(CAPACITY / 10);
    let limit = *limit;
    entries.retain(|_, entry| entry.since > limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_name_is_held_back_after_ten_failures_until_the_window_has_passed() {
        let throttle = Throttle::default();
        for second in 0..10 {
            throttle.begin("ann", None, at(second)).unwrap();
        }
        assert_eq!(throttle.begin("ann", None, at(10)).unwrap_err(), 291);
        assert!(throttle.begin("bob", None, at(10)).is_ok());
        assert!(throttle.begin("ann", None, at(300)).is_ok());
    }

    #[test]
    fn an_address_is_held_back_whatever_names_it_tries() {
        let throttle = Throttle::default();
        for number in 0..50 {
            throttle.begin(&format!("user{number}"), Some(HERE), at(0)).unwrap();
        }
        assert!(throttle.begin("another", Some(HERE), at(1)).is_err());
        assert!(throttle.begin("another", None, at(1)).is_ok());
    }

    #[test]
    fn a_success_clears_the_name() {
        let throttle = Throttle::default();
        for _ in 0..9 {
            throttle.begin("ann", Some(HERE), at(0)).unwrap();
        }
        let attempt = throttle.begin("ann", Some(HERE), at(0)).unwrap();
        throttle.succeeded(&attempt);
        for _ in 0..10 {
            throttle.begin("ann", None, at(1)).unwrap();
        }
        assert!(throttle.begin("ann", None, at(1)).is_err());
    }

    #[test]
    fn the_table_stays_bounded_under_a_flood_of_names() {
        let throttle = Throttle::default();
        for number in 0..(CAPACITY as i64 + 5_000) {
            throttle.begin(&number.to_string(), None, at(0) + TimeDelta::microseconds(number)).unwrap();
        }
        assert!(throttle.lock().len() <= CAPACITY);
    }
}
