//! What the store promises of notifications, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/databases.rs"]
mod databases;
#[path = "support/jobs.rs"]
mod jobs;

use std::{collections::HashSet, time::Duration};

use databases::TestDatabase;
use jobs::{bad, good, job, project, run, running, user};
use olake_shared::{
    config::Secret,
    domain::webhook::{DeliveryStatus, NotificationEvent, NotificationFormat},
    store::{
        ProjectStore, StoreError,
        notifications::{
            outbox::{Answer, Verdict},
            settings::{NotificationInput, SecretChange},
        },
    },
};
use sea_orm::{ConnectionTrait, Statement};

on_both_databases!(
    a_webhook_is_sealed_and_shown_masked,
    what_was_shown_is_taken_back,
    urls_that_must_not_be_called_are_refused,
    failures_recoveries_and_wished_successes_are_told,
    cancelled_runs_tell_nothing,
    nothing_is_told_unless_enabled,
    a_delivery_is_claimed_once_however_many_workers_race,
    a_claim_that_ran_out_is_claimed_again_and_the_late_outcome_counts_no_more,
    a_delivery_that_is_too_old_is_given_up,
    the_log_is_paged_and_of_one_project,
);

const LEASE: Duration = Duration::from_secs(600);

fn input(url: &str) -> NotificationInput {
    NotificationInput {
        url: url.into(),
        secret: SecretChange::Set(Secret::new("hunter33")),
        format: NotificationFormat::Json,
        on_failure: true,
        on_recovery: true,
        on_success: false,
        enabled: true,
        allow_private: false,
    }
}

async fn with_webhook(db: &TestDatabase) -> (ProjectStore, i64) {
    let (project, user) = (project(&db.store, "olake").await, user(&db.store).await);
    project.put_notification_settings(&input("https://hooks.example.com/x"), None, user).await.unwrap();
    (project, user)
}

async fn events(project: &ProjectStore) -> Vec<NotificationEvent> {
    project.deliveries(100, None).await.unwrap().into_iter().rev().map(|record| record.event).collect()
}

async fn execute(db: &TestDatabase, sql: &str) {
    db.store.connection().execute_unprepared(sql).await.unwrap();
}

fn answered(code: u16) -> Answer {
    Answer { code: Some(code), message: format!("the receiver answered {code}") }
}

async fn a_webhook_is_sealed_and_shown_masked(db: TestDatabase) {
    let (project, user) = (project(&db.store, "olake").await, user(&db.store).await);
    let before = project.notification_settings().await.unwrap();
    assert_eq!((before.url.as_str(), before.enabled, before.revision), ("", false, 0));
    let url = "https://bot:hunter44@hooks.example.com/services/T0?token=hunter55";
    let shown = project.put_notification_settings(&input(url), None, user).await.unwrap();
    assert_eq!(shown.url, "https://bot:********@hooks.example.com/services/T0?token=********");
    assert!(shown.has_secret && shown.enabled && shown.revision == 1);
    let connection = db.store.connection();
    let sql = "SELECT url, secret FROM notification_settings";
    let row = connection.query_one_raw(Statement::from_string(connection.get_database_backend(), sql)).await;
    let row = row.unwrap().unwrap();
    for column in ["url", "secret"] {
        let stored: String = row.try_get("", column).unwrap();
        assert!(stored.starts_with("rest1:") && !stored.contains("hunter"), "{column}");
    }
    let again = project.put_notification_settings(&input(url), Some(7), user).await;
    assert!(matches!(again, Err(StoreError::Stale { current: 1 })), "{again:?}");
}

async fn what_was_shown_is_taken_back(db: TestDatabase) {
    let (project, user) = (project(&db.store, "olake").await, user(&db.store).await);
    let url = "https://bot:hunter44@hooks.example.com/x";
    let shown = project.put_notification_settings(&input(url), None, user).await.unwrap();
    let back = NotificationInput { secret: SecretChange::Keep, on_success: true, ..input(&shown.url) };
    let kept = project.put_notification_settings(&back, Some(1), user).await.unwrap();
    assert!(kept.has_secret && kept.on_success);
    project.create_test_delivery().await.unwrap();
    let target = db.store.queue().claim_deliveries(1, LEASE).await.unwrap().remove(0).target;
    assert_eq!(target.url.expose(), url);
    assert_eq!(target.secret.unwrap().expose(), "hunter33");
    let moved = input(&shown.url.replace("example.com", "example.org"));
    let refused = project.put_notification_settings(&moved, None, user).await;
    assert!(
        matches!(refused, Err(StoreError::Invalid { field, .. }) if field == "url"),
        "a mask is no password"
    );
    let none = NotificationInput { secret: SecretChange::Remove, enabled: false, ..input("") };
    let gone = project.put_notification_settings(&none, None, user).await.unwrap();
    assert!(gone.url.is_empty() && !gone.has_secret);
    assert!(matches!(project.create_test_delivery().await, Err(StoreError::Invalid { .. })));
}

async fn urls_that_must_not_be_called_are_refused(db: TestDatabase) {
    let (project, user) = (project(&db.store, "olake").await, user(&db.store).await);
    for url in [
        "",
        "hooks.example.com",
        "ftp://example.com/",
        "http://127.0.0.1/",
        "http://localhost:9/",
        "http://[::1]/",
    ] {
        let refused = project.put_notification_settings(&input(url), None, user).await;
        assert!(matches!(refused, Err(StoreError::Invalid { field, .. }) if field == "url"), "{url}");
    }
    let allowed = NotificationInput { allow_private: true, ..input("http://127.0.0.1/") };
    project.put_notification_settings(&allowed, None, user).await.unwrap();
}

async fn failures_recoveries_and_wished_successes_are_told(db: TestDatabase) {
    use NotificationEvent::{Failure, Recovery, Success};
    let (project, user) = with_webhook(&db).await;
    let (nightly, other) = (job(&project, user, "nightly").await, job(&project, user, "other").await);
    run(&db.store, &project, user, nightly, &good()).await;
    assert_eq!(events(&project).await, [], "a first success is no recovery, and is not wished");
    let failed = run(&db.store, &project, user, nightly, &bad("table is locked")).await;
    run(&db.store, &project, user, other, &good()).await;
    assert_eq!(events(&project).await, [Failure], "another job's failure is not this one's");
    run(&db.store, &project, user, nightly, &good()).await;
    run(&db.store, &project, user, nightly, &good()).await;
    assert_eq!(events(&project).await, [Failure, Recovery]);
    let wished = NotificationInput { on_success: true, ..input("https://hooks.example.com/x") };
    project.put_notification_settings(&wished, None, user).await.unwrap();
    run(&db.store, &project, user, nightly, &good()).await;
    assert_eq!(events(&project).await, [Failure, Recovery, Success]);
    let claimed = db.store.queue().claim_deliveries(10, LEASE).await.unwrap();
    let subject = claimed.iter().find(|d| d.event == Failure).unwrap().subject.clone().unwrap();
    assert_eq!((subject.job, subject.job_name.as_str(), subject.task.id), (nightly, "nightly", failed));
    assert_eq!(subject.task.failure_message.as_deref(), Some("table is locked"));
    let subject = claimed.iter().find(|d| d.event == Recovery).unwrap().subject.clone().unwrap();
    assert_eq!(subject.task.records_read, Some(42));
}

async fn cancelled_runs_tell_nothing(db: TestDatabase) {
    use NotificationEvent::{Failure, Recovery};
    let (project, user) = with_webhook(&db).await;
    let job = job(&project, user, "nightly").await;
    run(&db.store, &project, user, job, &bad("no")).await;
    project.create_sync(job, user).await.unwrap();
    project.cancel_job(job).await.unwrap();
    let fence = running(&db.store, &project, user, job).await;
    project.cancel_job(job).await.unwrap();
    db.store.queue().end(fence, &bad("told to stop")).await.unwrap();
    assert_eq!(events(&project).await, [Failure]);
    run(&db.store, &project, user, job, &good()).await;
    assert_eq!(events(&project).await, [Failure, Recovery], "what was cancelled between is no run");
}

async fn nothing_is_told_unless_enabled(db: TestDatabase) {
    let (project, user) = (project(&db.store, "olake").await, user(&db.store).await);
    let job = job(&project, user, "nightly").await;
    run(&db.store, &project, user, job, &bad("no")).await;
    let off = NotificationInput { enabled: false, ..input("https://hooks.example.com/x") };
    project.put_notification_settings(&off, None, user).await.unwrap();
    run(&db.store, &project, user, job, &bad("no")).await;
    assert_eq!(events(&project).await, []);
    let (on, queue) = (input("https://hooks.example.com/x"), db.store.queue());
    project.put_notification_settings(&on, None, user).await.unwrap();
    run(&db.store, &project, user, job, &bad("no")).await;
    project.put_notification_settings(&off, None, user).await.unwrap();
    assert!(queue.claim_deliveries(10, LEASE).await.unwrap().is_empty());
    let record = project.deliveries(10, None).await.unwrap().remove(0);
    assert_eq!(record.status, DeliveryStatus::Failed);
    assert!(record.last_message.unwrap().contains("switched off"));
}

async fn a_delivery_is_claimed_once_however_many_workers_race(db: TestDatabase) {
    let (project, user) = with_webhook(&db).await;
    let job = job(&project, user, "nightly").await;
    for _ in 0..12 {
        run(&db.store, &project, user, job, &bad("no")).await;
    }
    let queue = db.store.queue();
    let claims = (0..8).map(|_| async {
        let mut mine = Vec::new();
        loop {
            let claimed = queue.claim_deliveries(2, LEASE).await.unwrap();
            if claimed.is_empty() {
                return mine;
            }
            mine.extend(claimed.into_iter().map(|delivery| delivery.id));
        }
    });
    let mut claimed = futures::future::join_all(claims).await.concat();
    // Whoever came too late for the others' rows may have seen none: what is left is claimed now.
    claimed.extend(queue.claim_deliveries(100, LEASE).await.unwrap().into_iter().map(|delivery| delivery.id));
    assert_eq!((claimed.len(), claimed.iter().collect::<HashSet<_>>().len()), (12, 12));
}

async fn a_claim_that_ran_out_is_claimed_again_and_the_late_outcome_counts_no_more(db: TestDatabase) {
    let (project, user) = with_webhook(&db).await;
    let job = job(&project, user, "nightly").await;
    run(&db.store, &project, user, job, &bad("no")).await;
    let queue = db.store.queue();
    let first = queue.claim_deliveries(1, Duration::ZERO).await.unwrap().remove(0);
    let mut again = Vec::new();
    while again.is_empty() {
        again = queue.claim_deliveries(1, LEASE).await.unwrap();
    }
    let second = again.remove(0);
    assert_eq!((first.id, first.attempt, second.id, second.attempt), (second.id, 1, first.id, 2));
    let settle = async |attempt, code, verdict| {
        queue.settle_delivery(first.id, attempt, &answered(code), verdict).await.unwrap()
    };
    assert!(!settle(1, 500, Verdict::GivenUp).await);
    assert!(settle(2, 204, Verdict::Delivered).await);
    assert!(!settle(2, 500, Verdict::Again(Duration::ZERO)).await, "what is settled stays");
    let record = project.delivery(first.id).await.unwrap();
    assert_eq!((record.status, record.attempts, record.last_code), (DeliveryStatus::Delivered, 2, Some(204)));
    assert!(queue.claim_deliveries(1, LEASE).await.unwrap().is_empty());
}

async fn a_delivery_that_is_too_old_is_given_up(db: TestDatabase) {
    let (project, user) = with_webhook(&db).await;
    let job = job(&project, user, "nightly").await;
    run(&db.store, &project, user, job, &bad("no")).await;
    let queue = db.store.queue();
    let delivery = queue.claim_deliveries(1, LEASE).await.unwrap().remove(0);
    let again = Verdict::Again(Duration::from_secs(3_600));
    assert!(queue.settle_delivery(delivery.id, 1, &answered(500), again).await.unwrap());
    let record = project.delivery(delivery.id).await.unwrap();
    assert_eq!((record.status, record.last_code), (DeliveryStatus::Pending, Some(500)));
    assert!(record.next_attempt_at.unwrap() > record.created_at + chrono::TimeDelta::minutes(50));
    assert!(queue.claim_deliveries(1, LEASE).await.unwrap().is_empty(), "it waits");
    execute(
        &db,
        "UPDATE notification_deliveries SET next_attempt_at = 0, give_up_at = give_up_at - 84600000000",
    )
    .await;
    let delivery = queue.claim_deliveries(1, LEASE).await.unwrap().remove(0);
    assert!(queue.settle_delivery(delivery.id, 2, &answered(500), again).await.unwrap());
    let record = project.delivery(delivery.id).await.unwrap();
    assert_eq!((record.status, record.next_attempt_at), (DeliveryStatus::Failed, None));
}

async fn the_log_is_paged_and_of_one_project(db: TestDatabase) {
    let (project, _) = with_webhook(&db).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, project.create_test_delivery().await.unwrap());
    }
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = project.deliveries(2, before).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page.iter().map(|record| record.id));
    }
    assert_eq!(seen, made);
    let other = jobs::project(&db.store, "123").await;
    assert!(other.deliveries(10, None).await.unwrap().is_empty());
    assert!(matches!(other.delivery(made[0]).await, Err(StoreError::NotFound(_))));
    assert_eq!(other.notification_settings().await.unwrap().revision, 0);
}
