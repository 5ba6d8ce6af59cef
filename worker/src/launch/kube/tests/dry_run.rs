//! Whether a pod would be taken is asked, and none is made.

use olake_shared::domain::task::FailureClass;

use super::*;

const QUOTA: &str = "pods \"olake-1\" is forbidden: exceeded quota: small, requested: limits.memory=2Gi, \
                     used: limits.memory=3Gi, limited: limits.memory=4Gi";

#[tokio::test]
async fn a_pod_is_asked_for_by_a_dry_run_and_nothing_is_made() {
    let stage = Stage::new().await;
    stage.launcher.validate(&stage.launch).await.unwrap();
    assert_eq!(stage.fake.calls(), ["POST pods dryRun=All"]);
    assert!(stage.fake.pod(&stage.pod).is_none() && stage.fake.secrets().is_empty());
    assert_eq!(stage.ledger.state(), PermitState::Open);
}

#[tokio::test]
async fn what_admission_refuses_is_a_refusal_in_its_words() {
    for (code, message) in [
        (403, "pods \"olake-1\" is forbidden: no PriorityClass with name gold was found"),
        (403, "pods \"olake-1\" is forbidden: violates PodSecurity \"restricted:latest\""),
        (422, "Pod \"olake-1\" is invalid: spec.tolerations[0].effect: Unsupported value: \"Never\""),
        (404, "namespaces \"olake\" not found"),
    ] {
        let stage = Stage::new().await;
        stage.fake.refuse(code, message);
        let error = stage.launcher.validate(&stage.launch).await.unwrap_err();
        assert_eq!(error.class(), FailureClass::Unschedulable, "{message}");
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(stage.fake.calls(), ["POST pods dryRun=All"]);
    }
}

#[tokio::test]
async fn an_outage_and_a_quota_that_others_use_up_are_no_refusals() {
    let stage = Stage::new().await;
    stage.fake.refuse(403, QUOTA);
    let full = stage.launcher.validate(&stage.launch).await.unwrap_err();
    assert_eq!(full.class(), FailureClass::Infrastructure);
    assert!(full.to_string().contains("exceeded quota: small"), "{full}");
    stage.fake.set_down(true);
    let away = stage.launcher.validate(&stage.launch).await.unwrap_err();
    assert_eq!(away.class(), FailureClass::Infrastructure);
    assert!(away.to_string().contains("cannot be used at the moment"), "{away}");
}

#[tokio::test]
async fn a_profile_that_this_worker_has_not_read_yet_is_no_refusal_and_makes_no_call() {
    let stage = Stage::new().await;
    let placement = Placement { profile: Some("huge".to_owned()), ..Placement::default() };
    let launch = Launch { placement, ..stage.launch.clone() };
    let error = stage.launcher.validate(&launch).await.unwrap_err();
    assert_eq!(error.class(), FailureClass::Infrastructure);
    assert!(error.to_string().contains("'huge'"), "{error}");
    assert!(stage.fake.calls().is_empty());
}
