//! What goes before the installation does.

use std::time::Duration;

use olake_shared::domain::task::TaskId;
use serde_json::json;

use super::{
    super::{
        cleanup::Cleanup,
        names::{labels, name},
    },
    eventually,
    fake::Fake,
};

fn cleanup(workers: Option<(String, String)>) -> Cleanup {
    Cleanup { namespace: "olake".to_owned(), workers, grace: Duration::from_secs(30) }
}

/// Makes a pod that runs, as workers do.
fn running(fake: &Fake) -> String {
    let key = (TaskId::now_v7(), 1);
    fake.put_pod(
        json!({"metadata": {"name": name(key), "labels": labels(key), "finalizers": ["olake.io/outcome"]},
        "spec": {"containers": []}, "status": {"phase": "Running"}}),
    );
    name(key)
}

#[tokio::test]
async fn a_pod_that_workers_make_while_connectors_are_stopped_has_their_grace_too() {
    let fake = Fake::start().await;
    let first = running(&fake);
    let cleaned = tokio::spawn({
        let client = fake.client.clone();
        async move { cleanup(None).run_with(client).await }
    });
    eventually("the first is told to stop", || fake.calls() == ["DELETE pods 30"]).await;
    let second = running(&fake);
    eventually("so is the second", || fake.calls() == ["DELETE pods 30"; 2]).await;
    for pod in [&first, &second] {
        fake.status(pod, json!({"phase": "Failed"}));
    }
    cleaned.await.unwrap().unwrap();
    assert!(fake.pod(&first).is_none() && fake.pod(&second).is_none(), "no finalizer holds them");
}

#[tokio::test]
async fn what_was_never_installed_needs_no_rights_to_be_removed() {
    let fake = Fake::start().await;
    fake.forbid_lists();
    // It knows of no Deployment.
    let workers = Some(("olake".to_owned(), "olake-worker".to_owned()));
    cleanup(workers).run_with(fake.client.clone()).await.unwrap();
    // Without a Deployment to ask for, a refusal may hide something.
    assert!(cleanup(None).run_with(fake.client.clone()).await.is_err());
}
