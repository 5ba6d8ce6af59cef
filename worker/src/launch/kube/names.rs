//! Names and labels by which pods and Secrets are found again.
//!
//! The name alone says task and attempt, so that what is ours is found also when its labels were changed by hand.

use std::collections::BTreeMap;

use olake_shared::domain::task::TaskId;

/// The label that says who made an object, and its value.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub const MANAGER: &str = "olake-worker";
/// The labels that say whose it is.
pub const TASK: &str = "olake.io/task";
pub const ATTEMPT: &str = "olake.io/attempt";
/// Keeps a pod's last status readable until its end is stored.
pub const FINALIZER: &str = "olake.io/outcome";

/// The annotation that says what a pod was told to stop for.
pub const STOPPED_FOR: &str = "olake.io/stopped-for";

const PREFIX: &str = "olake-";

/// An attempt of a task.
pub type Key = (TaskId, i32);

/// The name of an attempt's pod, and of its Secret.
pub fn name((task, attempt): Key) -> String {
    format!("{PREFIX}{}-{attempt}", task.simple())
}

/// The attempt that a name stands for; none if it is not one of ours.
pub fn attempt_of_name(text: &str) -> Option<Key> {
    let (task, attempt) = text.strip_prefix(PREFIX)?.split_once('-')?;
    let key = (TaskId::try_parse(task).ok()?, attempt.parse().ok()?);
    // Spelt in one way only.
    (name(key) == text).then_some(key)
}

/// The labels of what belongs to an attempt.
pub fn labels((task, attempt): Key) -> BTreeMap<String, String> {
    [(MANAGED_BY, MANAGER.to_owned()), (TASK, task.to_string()), (ATTEMPT, attempt.to_string())]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The attempt that labels tell of, if they are ours.
pub fn attempt_of_labels(labels: &BTreeMap<String, String>) -> Option<Key> {
    if labels.get(MANAGED_BY).map(String::as_str) != Some(MANAGER) {
        return None;
    }
    Some((TaskId::try_parse(labels.get(TASK)?).ok()?, labels.get(ATTEMPT)?.parse().ok()?))
}

/// What selects everything of ours.
pub fn selector() -> String {
    format!("{MANAGED_BY}={MANAGER}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_labels_tell_the_attempt_again() {
        let key = (TaskId::from_u128(0x0193_5f00), 12);
        assert_eq!(name(key), "olake-00000000000000000000000001935f00-12");
        assert_eq!(attempt_of_name(&name(key)), Some(key));
        assert_eq!(attempt_of_labels(&labels(key)), Some(key));
    }

    #[test]
    fn what_is_not_ours_is_no_attempt() {
        let dashed = format!("olake-{}-1", TaskId::from_u128(7));
        for text in
            ["olake-worker-1", "olake-x-1", dashed.as_str(), "olake-00000000000000000000000001935f00-01"]
        {
            assert_eq!(attempt_of_name(text), None, "{text}");
        }
        let mut other = labels((TaskId::from_u128(7), 1));
        other.insert(MANAGED_BY.to_owned(), "somebody".to_owned());
        assert_eq!(attempt_of_labels(&other), None);
    }
}
