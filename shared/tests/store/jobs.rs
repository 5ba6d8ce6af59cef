//! Jobs, their sides, and whose they are.

use olake_shared::{
    domain::{
        project::ProjectId,
        task::{FailureClass, TaskStatus},
    },
    store::{
        StoreError,
        connections::{ConnectionInput, Page, Side},
        jobs::{JobFilter, JobInput, SideInput},
        logs::Direction,
        tasks::{
            Failure,
            end::{Final, Outcome},
        },
    },
};
use serde_json::json;

use crate::{
    databases::{self, TestDatabase},
    on_both_databases,
    stage::{claimed, job, lake, setting, shop},
};

on_both_databases!(
    projects_do_not_see_each_other,
    a_job_makes_reuses_or_refuses_its_sides,
    lists_are_paged_newest_first,
    a_deleted_job_cancels_what_runs,
);

async fn projects_do_not_see_each_other(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let job = project.create_job(&job("j"), user).await.unwrap();
    let task = project.create_sync(job.id, user).await.unwrap().task;
    let other = db.store.project(&ProjectId::new("olake")).await.unwrap();
    assert!(matches!(db.store.project(&ProjectId::new("nowhere")).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.job(job.id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.connection(Side::Source, job.source.id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.task(task).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.cancel_task(task).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.cancel_job(job.id).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.create_sync(job.id, user).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.delete_job(job.id, None, user).await, Err(StoreError::NotFound(_))));
    assert!(matches!(other.tasks_of_job(job.id, 10, None).await, Err(StoreError::NotFound(_))));
    let page = other.log_page(None, task, None, 10, Direction::Older, true).await;
    assert!(matches!(page, Err(StoreError::NotFound(_))));
    assert!(other.job_keys(&JobFilter::default(), Page::default()).await.unwrap().is_empty());
    assert!(
        other.jobs(&[job.id]).await.unwrap().is_empty()
            && other.jobs_brief(&[job.id]).await.unwrap().is_empty()
    );
    assert!(other.connections(Side::Source, &[job.source.id]).await.unwrap().is_empty());
    let foreign = JobInput { source: SideInput::Existing(job.source.id), ..self::job("x") };
    assert!(matches!(other.create_job(&foreign, user).await, Err(StoreError::NotFound(_))));
}

async fn a_job_makes_reuses_or_refuses_its_sides(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let first = project.create_job(&job("first"), user).await.unwrap();
    let second = project.create_job(&job("second"), user).await.unwrap();
    assert_eq!(first.source.id, second.source.id, "an equal one is reused");
    let shown = ConnectionInput { config: first.source.config.clone(), ..shop() };
    let third = JobInput { source: SideInput::Inline(shown), ..job("third") };
    assert_eq!(project.create_job(&third, user).await.unwrap().source.id, first.source.id, "with tokens too");

    let differs = ConnectionInput { config: json!({"path": "/elsewhere"}), ..shop() };
    let error = project
        .create_job(&JobInput { source: SideInput::Inline(differs), ..job("x") }, user)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "source name 'shop' is not unique");

    let newer = ConnectionInput { name: "newer".into(), version: "v0.9.5".into(), ..lake() };
    let error = project
        .create_job(&JobInput { destination: SideInput::Inline(newer), ..job("x") }, user)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    assert_eq!(
        project.connection_keys(Side::Destination, None, Page::default()).await.unwrap().len(),
        1,
        "half a job was made"
    );

    let bad = JobInput { frequency: "hourly".into(), ..job("x") };
    assert!(matches!(project.create_job(&bad, user).await, Err(StoreError::Invalid { .. })));
    assert!(matches!(
        project.create_job(&JobInput { source: SideInput::Existing(999_999), ..job("x") }, user).await,
        Err(StoreError::NotFound(_))
    ));

    // An edit without `activate` changes neither that nor the next slot.
    project.activate_job(first.id, false, user).await.unwrap();
    let edited = project.update_job(first.id, &job("renamed"), None, user).await.unwrap();
    assert_eq!((edited.name.as_str(), edited.activate, edited.next_run_at), ("renamed", false, None));
    project.activate_job(first.id, true, user).await.unwrap();
    assert!(project.job(first.id).await.unwrap().next_run_at.is_some());
}

async fn lists_are_paged_newest_first(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    for n in 0..5 {
        project.create_job(&job(&format!("job {n}")), user).await.unwrap();
    }
    let keys = project.job_keys(&JobFilter::default(), Page::default()).await.unwrap();
    let all = project.jobs(&keys.iter().map(|key| key.id).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(
        all.iter().map(|j| j.name.as_str()).collect::<Vec<_>>(),
        ["job 4", "job 3", "job 2", "job 1", "job 0"]
    );
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = project.job_keys(&JobFilter::default(), Page { limit: Some(2), after }).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some((last.updated_at, last.id));
        seen.extend(page.into_iter().map(|key| key.id));
    }
    assert_eq!(seen, all.iter().map(|job| job.id).collect::<Vec<_>>());
    let filter = JobFilter { source_id: Some(all[0].source.id + 1), destination_id: None, search: None };
    assert!(project.job_keys(&filter, Page::default()).await.unwrap().is_empty());
}

async fn a_deleted_job_cancels_what_runs(db: TestDatabase) {
    let (project, job, user, claimed) = claimed(&db, "j").await;
    let (name, ended) = project.delete_job(job, None, user).await.unwrap();
    assert_eq!((name.as_str(), ended.len(), ended[0].status), ("j", 1, TaskStatus::Running));
    assert_eq!(db.store.queue().cancel_wishes(&[claimed.fence.task]).await.unwrap().len(), 1);
    // Its sides may be deleted now. Whoever ends what runs still knows what the connector was given.
    for side in [Side::Source, Side::Destination] {
        let id = project.connection_keys(side, None, Page::default()).await.unwrap()[0].id;
        project.delete_connection(side, id, None, user).await.unwrap();
        assert!(project.connection_keys(side, None, Page::default()).await.unwrap().is_empty());
        assert!(matches!(project.connection(side, id).await, Err(StoreError::NotFound(_))));
    }
    db.store.queue().work_of(claimed.fence).await.unwrap();
    let failure = Failure::new(FailureClass::Cancelled, "cancelled");
    db.store.queue().end(claimed.fence, &Final::bare(Outcome::Bad(failure))).await.unwrap();
    assert!(matches!(project.job(job).await, Err(StoreError::NotFound(_))));
    let again = project.create_job(&self::job("j"), user).await.unwrap();
    assert_ne!(again.id, job);
    project.delete_connection(Side::Source, again.source.id, None, user).await.unwrap_err();
}
