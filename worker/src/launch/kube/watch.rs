//! The one watch over all our pods that a worker has, and what was seen of each.
//!
//! It lists again as `kube` does, and waits between tries for seconds at most: after an outage, what happened meanwhile must
//! be seen soon. What it says of a pod that is gone is a hint: a pod whose labels
//! were changed looks gone, too. What it says of a pod that is there is taken as it is.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    runtime::{
        WatchStreamExt,
        utils::{Backoff, ResetTimerBackoff},
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::watch;

use super::{
    names::{Key, attempt_of_name, selector},
    view::PodView,
};

/// A watch is opened anew so often, in seconds: one whose other end is gone without a word tells nothing for no longer.
const WATCH_SECONDS: u32 = 30;

/// A watch that fails is told at most this often.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// The wait before the watch is tried again: the first, the longest, and after how long without a failure it is the first
/// again. Two tries in a row are the rule after an outage, since what was seen last is too old then.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(3);
const CALM_AFTER: Duration = Duration::from_secs(30);

/// What was seen of an attempt's pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Sight {
    /// Nothing yet.
    #[default]
    Unseen,
    /// It is there.
    Here(Arc<PodView>),
    /// It is gone, or looks so.
    Gone,
}

/// What was seen of all our pods.
#[derive(Clone, Default)]
pub struct Pods(Arc<Mutex<HashMap<Key, watch::Sender<Sight>>>>);

impl Pods {
    /// What is seen of a pod from now on.
    pub fn subscribe(&self, key: Key) -> watch::Receiver<Sight> {
        let Ok(mut pods) = self.0.lock() else { return watch::channel(Sight::Unseen).1 };
        // Nobody asks for those any more.
        pods.retain(|_, seen| seen.receiver_count() > 0 || matches!(*seen.borrow(), Sight::Here(_)));
        pods.entry(key).or_default().subscribe()
    }

    /// A pod was seen, here or elsewhere.
    pub fn see(&self, key: Key, view: PodView) {
        self.set(key, Sight::Here(Arc::new(view)));
    }

    /// A pod was made or read by a call: that counts until the watch tells of it.
    pub fn see_first(&self, key: Key, view: PodView) {
        let Ok(mut pods) = self.0.lock() else { return };
        pods.entry(key).or_default().send_if_modified(|sight| {
            let is_news = !matches!(sight, Sight::Here(_));
            if is_news {
                *sight = Sight::Here(Arc::new(view));
            }
            is_news
        });
    }

    /// A pod was read by a call. False, and nothing changes: something else was told meanwhile, and may be newer.
    pub fn see_unless_told(&self, key: Key, view: PodView, seen: &watch::Receiver<Sight>) -> bool {
        let Ok(mut pods) = self.0.lock() else { return false };
        if seen.has_changed().unwrap_or(false) {
            return false;
        }
        Self::put(&mut pods, key, Sight::Here(Arc::new(view)));
        true
    }

    /// A pod is gone.
    pub fn lose(&self, key: Key) {
        self.set(key, Sight::Gone);
    }

    fn set(&self, key: Key, sight: Sight) {
        if let Ok(mut pods) = self.0.lock() {
            Self::put(&mut pods, key, sight);
        }
    }

    fn put(pods: &mut HashMap<Key, watch::Sender<Sight>>, key: Key, sight: Sight) {
        let seen = pods.entry(key).or_default();
        seen.send_if_modified(|current| {
            let is_news = *current != sight;
            *current = sight;
            is_news
        });
        if *seen.borrow() == Sight::Gone && seen.receiver_count() == 0 {
            pods.remove(&key);
        }
    }

    fn keys_here(&self) -> Vec<Key> {
        let Ok(pods) = self.0.lock() else { return Vec::new() };
        pods.iter()
            .filter(|(_, seen)| matches!(*seen.borrow(), Sight::Here(_)))
            .map(|(key, _)| *key)
            .collect()
    }

    /// Waits until the connector of an attempt is seen to have ended, at most so long. False: it is not.
    pub async fn has_ended(&self, key: Key, within: Duration) -> bool {
        let mut seen = self.subscribe(key);
        let ended = seen.wait_for(|sight| match sight {
            Sight::Here(view) => view.is_over(),
            // Somebody may have changed its labels: of a pod that is gone no agent asks.
            Sight::Gone | Sight::Unseen => false,
        });
        matches!(tokio::time::timeout(within, ended).await, Ok(Ok(_)))
    }

    /// Watches until it is dropped.
    pub async fn watch(self, api: Api<Pod>) {
        let config = watcher::Config::default().labels(&selector()).timeout(WATCH_SECONDS);
        let waits = ResetTimerBackoff::new(Waits::default(), CALM_AFTER);
        let mut events = pin!(watcher(api, config).backoff(waits));
        let mut listed = HashSet::new();
        let mut told: Option<tokio::time::Instant> = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    if told.take().is_some() {
                        tracing::info!("the watch over the pods works again");
                    }
                    self.take(event, &mut listed);
                }
                Err(error) => {
                    if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                        tracing::warn!(%error, "the watch over the pods failed, and is tried again");
                        told = Some(tokio::time::Instant::now());
                    }
                }
            }
        }
    }

    fn take(&self, event: Event<Pod>, listed: &mut HashSet<Key>) {
        // A copy of a pod has its labels, and another name: it is no attempt's, and the sweep's.
        let key_of = |pod: &Pod| attempt_of_name(pod.metadata.name.as_deref()?);
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(pod) => {
                if let Some(key) = key_of(&pod) {
                    listed.insert(key);
                    self.see(key, PodView::of(&pod));
                }
            }
            Event::InitDone => {
                for key in self.keys_here().into_iter().filter(|key| !listed.contains(key)) {
                    self.lose(key);
                }
                listed.clear();
            }
            Event::Apply(pod) => {
                if let Some(key) = key_of(&pod) {
                    self.see(key, PodView::of(&pod));
                }
            }
            Event::Delete(pod) => {
                if let Some(key) = key_of(&pod) {
                    self.lose(key);
                }
            }
        }
    }
}

/// The waits between tries, each twice the one before.
struct Waits(Duration);

impl Default for Waits {
    fn default() -> Self {
        Self(FIRST_WAIT)
    }
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST_WAIT);
        Some(wait)
    }
}

impl Backoff for Waits {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use olake_shared::domain::task::TaskId;

    use super::{
        super::{
            names::{labels, name},
            view::{Container, End},
        },
        *,
    };

    fn key(number: u128) -> Key {
        (TaskId::from_u128(number), 1)
    }

    fn pod(key: Key) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.labels = Some(labels(key));
        pod.metadata.name = Some(name(key));
        pod
    }

    #[test]
    fn a_copy_of_a_pod_under_another_name_says_nothing_of_its_attempt() {
        let (pods, key) = (Pods::default(), key(1));
        let mut seen = pods.subscribe(key);
        pods.take(Event::Apply(pod(key)), &mut HashSet::new());
        seen.mark_unchanged();
        let mut copy = pod(key);
        copy.metadata.name = Some("copy".to_owned());
        for event in [Event::Apply(copy.clone()), Event::Delete(copy)] {
            pods.take(event, &mut HashSet::new());
        }
        assert!(!seen.has_changed().unwrap() && matches!(*seen.borrow(), Sight::Here(_)));
    }

    #[test]
    fn what_a_new_list_does_not_hold_is_gone_and_what_it_holds_is_here() {
        let pods = Pods::default();
        let (one, two, never) = (key(1), key(2), key(3));
        let mut seen = [one, two, never].map(|key| pods.subscribe(key));
        let mut listed = HashSet::new();
        for event in [Event::Init, Event::InitApply(pod(one)), Event::InitApply(pod(two)), Event::InitDone] {
            pods.take(event, &mut listed);
        }
        assert!(matches!(*seen[0].borrow_and_update(), Sight::Here(_)));
        for event in [Event::Init, Event::InitApply(pod(two)), Event::InitDone] {
            pods.take(event, &mut listed);
        }
        assert_eq!(*seen[0].borrow(), Sight::Gone);
        assert!(matches!(*seen[1].borrow(), Sight::Here(_)));
        assert_eq!(*seen[2].borrow(), Sight::Unseen, "one that was never seen is not gone");
    }

    #[test]
    fn a_watch_is_never_away_for_longer_than_a_few_seconds_after_an_outage() {
        let mut waits = Waits::default();
        let told: Vec<u128> = waits.by_ref().take(7).map(|wait| wait.as_millis()).collect();
        assert_eq!(told, [200, 400, 800, 1_600, 3_000, 3_000, 3_000]);
        waits.reset();
        assert_eq!(waits.next(), Some(FIRST_WAIT));
    }

    #[test]
    fn the_same_sight_again_wakes_nobody() {
        let pods = Pods::default();
        let mut seen = pods.subscribe(key(1));
        pods.see(key(1), PodView::default());
        assert!(seen.has_changed().unwrap());
        seen.mark_unchanged();
        pods.see(key(1), PodView::default());
        pods.see_first(key(1), PodView { uid: "older".to_owned(), ..PodView::default() });
        assert!(!seen.has_changed().unwrap());
    }

    #[tokio::test]
    async fn whoever_waits_for_an_end_hears_of_it_at_once() {
        let pods = Pods::default();
        assert!(!pods.has_ended(key(1), Duration::ZERO).await);
        let waiting = tokio::spawn({
            let pods = pods.clone();
            async move { pods.has_ended(key(1), Duration::from_secs(600)).await }
        });
        let ended = PodView { connector: Container::Terminated(End::default()), ..PodView::default() };
        pods.see(key(1), ended);
        assert!(waiting.await.unwrap());
    }

    #[test]
    fn nothing_is_kept_of_pods_that_are_gone_and_asked_for_by_nobody() {
        let pods = Pods::default();
        drop(pods.subscribe(key(1)));
        pods.see(key(2), PodView::default());
        pods.lose(key(2));
        let _seen = pods.subscribe(key(3));
        assert_eq!(pods.0.lock().unwrap().len(), 1);
    }
}
