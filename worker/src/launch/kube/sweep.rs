//! What is left over: pods and Secrets of attempts that nothing runs any more, whose worker died before it removed them, or
//! of tasks that are no longer in the database.
//!
//! They are found by their names, and by their labels: somebody may have changed the one or made a copy of the other. What
//! is found is said by kind, name and uid, and removed only as such: a name may be used again meanwhile.

use std::collections::HashSet;

use olake_shared::domain::task::TaskId;
use tokio::time::Instant;

use super::{
    Inner,
    cluster::{CallError, Listed},
    names::{Key, attempt_of_labels, attempt_of_name},
};
use crate::launch::LaunchError;

const POD: &str = "pod";
const SECRET: &str = "secret";

impl Inner {
    /// Removes the pod and the Secret of an attempt that is over for good, by their name: whatever has it. What its agent
    /// runs on gets `grace` seconds.
    pub(super) async fn remove(&self, name: &str, grace: u32) -> Result<(), LaunchError> {
        self.remove_pod(name, None, grace).await?;
        Ok(self.cluster.delete_secret(name, None).await?)
    }

    async fn remove_pod(&self, name: &str, uid: Option<&str>, grace: u32) -> Result<(), CallError> {
        // First deleted, so that it cannot outlive its finalizer.
        self.cluster.delete_pod(name, uid, grace).await?;
        self.cluster.release_pod(name, uid).await
    }

    /// What there is of ours, each as `kind/name/task/attempt/uid`. Nothing when that was looked for lately: it is a list of
    /// everything.
    pub(super) async fn found(&self) -> Result<Vec<String>, LaunchError> {
        if !self.is_due() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (kind, listed) in
            [(POD, self.cluster.list_pods().await?), (SECRET, self.cluster.list_secrets().await?)]
        {
            found.extend(listed.iter().filter_map(|one| Some(entry(kind, one, attempt_of(one)?))));
        }
        Ok(found)
    }

    fn is_due(&self) -> bool {
        let Ok(mut swept) = self.swept.lock() else { return false };
        let is_due = swept.is_none_or(|at| at.elapsed() >= self.settings.sweep_every);
        if is_due {
            *swept = Some(Instant::now());
        }
        is_due
    }

    /// Removes those of `found` whose attempts are not in `alive`. Says how many.
    pub(super) async fn sweep(
        &self,
        found: Vec<String>,
        alive: &[(TaskId, i32)],
    ) -> Result<u64, LaunchError> {
        let alive: HashSet<Key> = alive.iter().copied().collect();
        let (mut removed, mut first_error) = (0, None);
        for (kind, name, key, uid) in found.iter().filter_map(|text| read_entry(text)) {
            if alive.contains(&key) {
                continue;
            }
            let done = match kind {
                // A connector that nobody knows of may still be writing.
                POD => {
                    let grace = u32::try_from(self.settings.stop_grace.as_secs()).unwrap_or(u32::MAX);
                    self.remove_pod(name, uid, grace).await
                }
                _ => self.cluster.delete_secret(name, uid).await,
            };
            match done {
                Ok(()) => {
                    tracing::info!(kind, name, "what an ended attempt had left behind is removed");
                    removed += 1;
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        match first_error {
            None => Ok(removed),
            Some(error) => Err(error.into()),
        }
    }
}

/// The attempt that something belongs to, by its name or its labels; none if it is not ours.
pub(super) fn attempt_of(one: &Listed) -> Option<Key> {
    attempt_of_name(&one.name).or_else(|| attempt_of_labels(one.metadata.labels.as_ref()?))
}

fn entry(kind: &str, one: &Listed, (task, attempt): Key) -> String {
    format!("{kind}/{}/{task}/{attempt}/{}", one.name, one.uid().unwrap_or_default())
}

fn read_entry(text: &str) -> Option<(&str, &str, Key, Option<&str>)> {
    let mut parts = text.split('/');
    let (kind, name) = (parts.next()?, parts.next()?);
    let key = (TaskId::try_parse(parts.next()?).ok()?, parts.next()?.parse().ok()?);
    Some((kind, name, key, parts.next().filter(|uid| !uid.is_empty())))
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectMeta;

    use super::*;

    #[test]
    fn what_was_found_is_read_again() {
        let key = (TaskId::from_u128(5), 2);
        let mut one = Listed { name: "olake-x".to_owned(), metadata: ObjectMeta::default() };
        assert_eq!(read_entry(&entry(POD, &one, key)), Some((POD, "olake-x", key, None)));
        one.metadata.uid = Some("u-1".to_owned());
        assert_eq!(read_entry(&entry(POD, &one, key)), Some((POD, "olake-x", key, Some("u-1"))));
        assert_eq!(read_entry("pod/olake-x"), None);
    }
}
