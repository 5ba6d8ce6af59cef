//! The beginning: the pod is found, or made.

use k8s_openapi::api::core::v1::Pod;
use olake_shared::{
    domain::{
        quantity,
        task::{FailureClass, TaskPhase},
    },
    store::tasks::pods::PermitState,
};
use tokio::time::Instant;

use super::{
    super::{cluster::CallError, names::attempt_of_labels, plan::Plan, shape::CONNECTOR, view::PodView},
    Drive, End, FIRST_WAIT, LOOK_EVERY, TOLD_TO_STOP,
};
use crate::launch::Launch;

impl Drive {
    /// Finds the pod of an attempt that another worker has begun. Some: it is over.
    pub(super) async fn find(&mut self, launch: Option<Box<Launch>>) -> Option<End> {
        loop {
            match self.inner.cluster.pod(&self.name).await {
                Ok(Some(pod)) => {
                    self.memory = memory_of(&pod);
                    self.saw(&pod).await;
                    return None;
                }
                Ok(None) => break,
                Err(error) => {
                    if self.orders.borrow_and_update().stop
                        && let Some(end) = self.end_before_start(TOLD_TO_STOP).await
                    {
                        return Some(end);
                    }
                    self.tell(TaskPhase::Scheduling, Some(error.to_string())).await;
                    self.wait_a_little().await;
                }
            }
        }
        let permit = loop {
            match self.inner.ledger.permit(self.key).await {
                Ok(permit) => break permit,
                Err(error) => self.database_is_away(&error).await,
            }
        };
        match (permit, launch) {
            (PermitState::Given, _) => Some(End::Gone),
            (PermitState::Closed, _) => Some(self.never("it was ended before its connector started")),
            (PermitState::Open, Some(launch)) => {
                let token = self.inner.ledger.token(self.key);
                match Plan::of(&launch, token, &self.inner.settings, &self.inner.profiles) {
                    Ok(plan) => self.make(&plan).await,
                    Err(error) => self.give_up(error.class(), error.to_string()).await,
                }
            }
            (PermitState::Open, None) => {
                let why = "what it works with cannot be read any more, and its pod is gone";
                self.give_up(FailureClass::Infrastructure, why.to_owned()).await
            }
        }
    }

    /// Makes Secret and pod. Some: it will never start.
    pub(super) async fn make(&mut self, plan: &Plan) -> Option<End> {
        self.memory = plan.memory;
        let begun = Instant::now();
        loop {
            if self.orders.borrow_and_update().stop
                && let Some(end) = self.end_before_start(TOLD_TO_STOP).await
            {
                return Some(end);
            }
            // A call that was under way when the order came may have made it: whoever removes the attempt finds it.
            let mut orders = self.orders.clone();
            let made = tokio::select! {
                made = self.try_make(plan) => made,
                Ok(()) = orders.changed() => continue,
            };
            let error = match made {
                Ok(()) => {
                    self.pause = FIRST_WAIT;
                    return None;
                }
                Err(error) => error,
            };
            let is_final = match &error {
                CallError::Unreachable(_) => false,
                // Others may end meanwhile.
                CallError::Refused { message, .. } if message.contains("exceeded quota") => {
                    begun.elapsed() >= self.inner.settings.schedule
                }
                // An API server that has just been started, or a namespace that was just made, may refuse what it takes soon.
                CallError::Refused { code: 403, .. } => begun.elapsed() >= self.inner.settings.forbidden,
                CallError::Refused { .. } => true,
            };
            if is_final {
                let end = self.give_up(FailureClass::Unschedulable, refusal(&error)).await;
                if end.is_some() {
                    return end;
                }
            } else {
                self.tell(TaskPhase::Scheduling, Some(error.to_string())).await;
            }
            self.wait_a_little().await;
        }
    }

    async fn try_make(&mut self, plan: &Plan) -> Result<(), CallError> {
        let cluster = &self.inner.cluster;
        match cluster.create_secret(&plan.secret).await {
            // Made by a try whose answer was lost, or by the worker before.
            Err(CallError::Refused { code: 409, message }) if message.contains("already exists") => {}
            // Two that count on one quota at once.
            Err(error) if error.code() == Some(409) => return Err(error.into_passing()),
            made => made?,
        }
        let pod = match cluster.create_pod(&plan.pod).await {
            Ok(pod) => pod,
            Err(error) if error.code() == Some(409) => match cluster.pod(&self.name).await? {
                Some(pod)
                    if pod
                        .metadata
                        .labels
                        .as_ref()
                        .and_then(attempt_of_labels)
                        .is_none_or(|key| key == self.key) =>
                {
                    pod
                }
                Some(_) => {
                    let message = format!("there is a pod {} that is not of this attempt", self.name);
                    return Err(CallError::Refused { code: 409, message });
                }
                // Gone in between.
                None => return Err(error.into_passing()),
            },
            Err(error) => return Err(error),
        };
        self.saw(&pod).await;
        if let Some(uid) = pod.metadata.uid {
            let (inner, name) = (self.inner.clone(), self.name.clone());
            tokio::spawn(async move {
                if let Err(error) = inner.cluster.own_secret(&name, &uid).await {
                    tracing::warn!(pod = name, %error, "its Secret has no owner: a sweep removes it");
                }
            });
        }
        Ok(())
    }

    /// A pod was made or read by a call of ours.
    pub(super) async fn saw(&mut self, pod: &Pod) {
        let view = PodView::of(pod);
        self.note_uid(&view.uid);
        self.inner.pods.see_first(self.key, view);
        let is_labelled = pod.metadata.labels.as_ref().and_then(attempt_of_labels) == Some(self.key);
        self.is_hidden = !is_labelled;
        if self.is_hidden {
            match self.inner.cluster.label_pod(&self.name, self.uid.as_deref(), self.key).await {
                Ok(()) => {
                    tracing::warn!(pod = self.name, "the labels of a pod were changed, and are put back");
                }
                Err(error) => tracing::warn!(pod = self.name, %error, "the labels of a pod were changed"),
            }
            self.retry_in(LOOK_EVERY);
        }
    }
}

fn refusal(error: &CallError) -> String {
    match error.code() {
        Some(404) => format!("{error}. Does the namespace of the connectors (kubernetes.namespace) exist?"),
        // Admission refuses with the same status; only this one names who may not do it.
        Some(403) if error.to_string().contains(" cannot create resource ") => {
            format!(
                "{error}. Is the Role of the workers there, and bound to their account (rbac.create of the chart)?"
            )
        }
        _ => error.to_string(),
    }
}

/// The limit of memory that a pod was made with.
fn memory_of(pod: &Pod) -> Option<u64> {
    let container = pod.spec.as_ref()?.containers.iter().find(|c| c.name == CONNECTOR)?;
    let limit = container.resources.as_ref()?.limits.as_ref()?.get("memory")?;
    quantity::bytes(&limit.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_an_operator_can_mend_says_what_to_look_at() {
        let words =
            |code: u16, message: &str| refusal(&CallError::Refused { code, message: message.to_owned() });
        let no_right = "secrets is forbidden: User \"system:serviceaccount:olake:olake-worker\" cannot create resource \
                        \"secrets\" in API group \"\" in the namespace \"olake-connectors\"";
        let told = words(403, no_right);
        assert!(told.contains(no_right) && told.contains("Is the Role of the workers there"), "{told}");
        assert!(words(404, "namespaces \"x\" not found").contains("Does the namespace of the connectors"));
        let admission = words(403, "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\"");
        assert!(!admission.contains("Role"), "{admission}");
    }
}
