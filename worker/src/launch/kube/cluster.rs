//! The calls of the Kubernetes API that the launcher makes: each within its budget, with an end to its patience, and with
//! errors that say whether another try may help.
//!
//! These, and the shared watch, are all that the worker's Role must allow: pods create, get, list, watch, patch, delete;
//! pods/log get; secrets create, get, list, patch, delete; events list. To add a call, add it to the chart's Role.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::api::core::v1::{Event, Pod, Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions},
    core::{NamespaceResourceScope, ObjectMeta, PartialObjectMeta, Resource},
};
use olake_shared::domain::task::FailureClass;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    budget::Budget,
    names::{FINALIZER, Key, STOPPED_FOR, labels},
    shape::AGENT,
};

/// How long one call may take. A host that is gone answers nothing.
const PATIENCE: Duration = Duration::from_secs(20);

/// The most that is read of an agent's log: what it prints at the end, and some.
const AGENT_LOG_BYTES: i64 = 24 << 20;

/// How many events of a pod are told.
const EVENTS: usize = 5;

/// Why a call of the Kubernetes API came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer, or one that says "later": another try may help, and nothing is known.
    #[error("the Kubernetes API cannot be used at the moment: {0}")]
    Unreachable(String),
    /// It says no, and will say so again.
    #[error("the Kubernetes API refused ({code}): {message}")]
    Refused {
        /// The status.
        code: u16,
        /// Its words.
        message: String,
    },
}

impl CallError {
    /// The same, as one that another try may mend.
    pub fn into_passing(self) -> Self {
        match self {
            Self::Refused { message, .. } => Self::Unreachable(message),
            passing => passing,
        }
    }

    /// The status of a refusal.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Unreachable(_) => None,
            Self::Refused { code, .. } => Some(*code),
        }
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if !is_passing(status.code) => {
                Self::Refused { code: status.code, message: status.message }
            }
            kube::Error::Api(status) => Self::Unreachable(format!("{} {}", status.code, status.message)),
            other => Self::Unreachable(words(&other)),
        }
    }
}

/// Whether a status speaks of the moment rather than of the request. 401 is one: tokens are changed while they are used.
fn is_passing(code: u16) -> bool {
    matches!(code, 401 | 408 | 429 | 500..)
}

/// An error with all that caused it, in one line.
fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// What is found of an object by a list, without what is in it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub name: String,
    pub metadata: ObjectMeta,
}

impl Listed {
    /// What tells it from another one of that name.
    pub fn uid(&self) -> Option<&str> {
        self.metadata.uid.as_deref()
    }
}

/// The namespace of the connectors.
pub struct Cluster {
    pods: Api<Pod>,
    secrets: Api<Secret>,
    events: Api<Event>,
    pub budget: Budget,
}

impl Cluster {
    pub fn new(client: Client, namespace: &str, budget: Budget) -> Self {
        Self {
            pods: Api::namespaced(client.clone(), namespace),
            secrets: Api::namespaced(client.clone(), namespace),
            events: Api::namespaced(client, namespace),
            budget,
        }
    }

    /// The pods, for the shared watch.
    pub fn pods(&self) -> Api<Pod> {
        self.pods.clone()
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, CallError> {
        self.budget.take().await;
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(CallError::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    /// Makes an object.
    pub async fn create_pod(&self, pod: &Pod) -> Result<Pod, CallError> {
        self.call(self.pods.create(&PostParams::default(), pod)).await
    }

    /// Asks whether a pod of this shape would be taken, and makes none.
    pub async fn try_pod(&self, pod: &Pod) -> Result<(), CallError> {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        self.call(self.pods.create(&dry, pod)).await.map(|_| ())
    }

    /// Makes an object.
    pub async fn create_secret(&self, secret: &Secret) -> Result<(), CallError> {
        self.call(self.secrets.create(&PostParams::default(), secret)).await.map(|_| ())
    }

    /// A pod as it is now; none when there is none.
    pub async fn pod(&self, name: &str) -> Result<Option<Pod>, CallError> {
        match self.call(self.pods.get(name)).await {
            Ok(pod) => Ok(Some(pod)),
            Err(error) if error.code() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a pod. `uid` makes sure that it is this one. One that is not there is deleted.
    pub async fn delete_pod(&self, name: &str, uid: Option<&str>, grace: u32) -> Result<(), CallError> {
        let params = that_one(uid).grace_period(grace);
        absent(self.call(self.pods.delete(name, &params)).await.map(|_| ()))
    }

    /// Lets a pod go: our finalizer holds it no longer. `uid` makes sure that it is this one.
    pub async fn release_pod(&self, name: &str, uid: Option<&str>) -> Result<(), CallError> {
        let patch = json!({"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}});
        self.patch_pod(name, uid, patch, Patch::Strategic).await
    }

    /// Puts the labels of an attempt back that somebody has changed: the watch sees a pod by them.
    pub async fn label_pod(&self, name: &str, uid: Option<&str>, key: Key) -> Result<(), CallError> {
        self.patch_pod(name, uid, json!({"metadata": {"labels": labels(key)}}), Patch::Merge).await
    }

    /// Writes on a pod what it is stopped for.
    pub async fn note_stop(
        &self,
        name: &str,
        uid: Option<&str>,
        class: FailureClass,
    ) -> Result<(), CallError> {
        let patch = json!({"metadata": {"annotations": {STOPPED_FOR: class.as_str()}}});
        self.patch_pod(name, uid, patch, Patch::Merge).await
    }

    /// Changes a pod. One that is not there, or is another one of that name, needs no change.
    async fn patch_pod(
        &self,
        name: &str,
        uid: Option<&str>,
        mut patch: Value,
        kind: fn(Value) -> Patch<Value>,
    ) -> Result<(), CallError> {
        if let Some(uid) = uid {
            // It cannot be changed: of another pod the patch is refused.
            patch["metadata"]["uid"] = json!(uid);
        }
        absent(self.patch(&self.pods, name, kind(patch)).await)
    }

    /// Makes a pod the owner of its Secret, so that it goes with the pod.
    pub async fn own_secret(&self, name: &str, pod_uid: &str) -> Result<(), CallError> {
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod_uid});
        let patch = json!({"metadata": {"ownerReferences": [owner]}});
        absent(self.patch(&self.secrets, name, Patch::Merge(patch)).await)
    }

    async fn patch<K>(&self, api: &Api<K>, name: &str, patch: Patch<Value>) -> Result<(), CallError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let params = PatchParams::default();
        self.call(api.patch(name, &params, &patch)).await.map(|_| ())
    }

    /// Deletes a Secret. `uid` makes sure that it is this one. One that is not there is deleted.
    pub async fn delete_secret(&self, name: &str, uid: Option<&str>) -> Result<(), CallError> {
        let params = that_one(uid);
        absent(self.call(self.secrets.delete(name, &params)).await.map(|_| ()))
    }

    /// Everything in the namespace, whatever its labels are.
    pub async fn list_pods(&self) -> Result<Vec<Listed>, CallError> {
        self.list(&self.pods).await
    }

    /// Everything in the namespace, with its status.
    pub async fn list_whole_pods(&self) -> Result<Vec<Pod>, CallError> {
        Ok(self.call(self.pods.list(&ListParams::default().match_any())).await?.items)
    }

    /// Everything in the namespace, whatever its labels are. What is in the Secrets is not read.
    pub async fn list_secrets(&self) -> Result<Vec<Listed>, CallError> {
        self.list(&self.secrets).await
    }

    async fn list<K>(&self, api: &Api<K>) -> Result<Vec<Listed>, CallError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        // From what the API server has at hand: what is a moment old does for a sweep.
        let params = ListParams::default().match_any();
        let list = self.call(api.list_metadata(&params)).await?;
        let listed = |item: PartialObjectMeta<K>| Listed {
            name: item.metadata.name.clone().unwrap_or_default(),
            metadata: item.metadata,
        };
        Ok(list.items.into_iter().map(listed).collect())
    }

    /// What the agent of a pod has printed.
    pub async fn agent_log(&self, name: &str) -> Result<String, CallError> {
        let params = LogParams {
            container: Some(AGENT.to_owned()),
            limit_bytes: Some(AGENT_LOG_BYTES),
            ..LogParams::default()
        };
        self.call(self.pods.logs(name, &params)).await
    }

    /// The last events of a pod, oldest first, for a person.
    pub async fn events_of(&self, name: &str) -> Result<Vec<String>, CallError> {
        let params = ListParams::default().fields(&format!("involvedObject.name={name}"));
        let mut events = self.call(self.events.list(&params)).await?.items;
        let time = |event: &Event| {
            let newest = event.last_timestamp.as_ref().map(|time| time.0);
            newest.or_else(|| event.event_time.as_ref().map(|time| time.0))
        };
        events.sort_by_key(time);
        let skipped = events.len().saturating_sub(EVENTS);
        let told = events.into_iter().skip(skipped).map(|event| {
            let (reason, message) = (event.reason.unwrap_or_default(), event.message.unwrap_or_default());
            format!("{reason}: {}", message.trim())
        });
        Ok(told.collect())
    }
}

/// Deletes only what has this uid, if it is given.
fn that_one(uid: Option<&str>) -> DeleteParams {
    let params = DeleteParams::default();
    match uid {
        Some(uid) => {
            params.preconditions(Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() })
        }
        None => params,
    }
}

/// What is not there is as good as done. Neither is what a call was about there when its name is that of another object by now:
/// then the uid is refused, as a conflict or as invalid. A conflict of another kind is one of the moment.
fn absent(done: Result<(), CallError>) -> Result<(), CallError> {
    match done {
        Err(CallError::Refused { code: 404, .. }) => Ok(()),
        Err(CallError::Refused { code: 409, message }) if message.contains("UID in ") => Ok(()),
        Err(CallError::Refused { code: 422, message }) if message.contains("metadata.uid: ") => Ok(()),
        Err(error) if error.code() == Some(409) => Err(error.into_passing()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_object_of_that_name_is_as_good_as_done_of_what_is_refused() {
        let of = |code, message: &str| absent(Err(CallError::Refused { code, message: message.to_owned() }));
        for (code, message) in [
            (404, "pods \"a\" not found"),
            (
                409,
                "Operation cannot be fulfilled on pods \"a\": the UID in the precondition (1) does not match the UID in record (2)",
            ),
            (
                409,
                "Operation cannot be fulfilled on pods \"a\": Precondition failed: UID in precondition: 1, UID in object meta: 2",
            ),
            (422, "Pod \"a\" is invalid: metadata.uid: Invalid value: \"1\": field is immutable"),
        ] {
            assert!(of(code, message).is_ok(), "{message}");
        }
        let changed = "Operation cannot be fulfilled on pods \"a\": the object has been modified";
        assert!(matches!(of(409, changed), Err(CallError::Unreachable(_))));
        let invalid = "Pod \"a\" is invalid: spec: Forbidden: {Name: \"OLAKE_AGENT_POD_UID\"}";
        assert!(matches!(of(422, invalid), Err(CallError::Refused { code: 422, .. })));
        assert!(matches!(of(403, "not yours"), Err(CallError::Refused { code: 403, .. })));
    }
}
