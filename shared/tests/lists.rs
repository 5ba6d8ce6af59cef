//! What lists need beyond their rows, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/databases.rs"]
mod databases;
#[path = "support/samples.rs"]
mod samples;

use databases::TestDatabase;
use olake_shared::{
    domain::project::ProjectId,
    store::{
        ProjectStore, Store,
        connections::{ConnectionInput, Page, Side},
        jobs::{Job, JobFilter},
        lists::Key,
        tasks::end::{Final, Outcome},
    },
};
use samples::{claim, job, project, user};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;

on_both_databases!(
    the_revision_grows_with_each_change_of_what_lists_show,
    what_lists_do_not_show_leaves_the_revision_alone,
    an_account_that_goes_counts_once,
    changes_of_many_jobs_at_once_are_all_counted,
    the_brief_list_is_the_list_without_documents,
    names_are_searched_for_as_they_are,
    what_changes_after_the_keys_were_read_is_read_by_them_all_the_same,
);

fn ids(keys: &[Key]) -> Vec<i64> {
    keys.iter().map(|key| key.id).collect()
}

/// The jobs of a list.
async fn jobs(project: &ProjectStore, filter: &JobFilter, page: Page) -> Vec<Job> {
    let keys = project.job_keys(filter, page).await.unwrap();
    project.jobs(&ids(&keys)).await.unwrap()
}

async fn revision(store: &Store, project: &str) -> i64 {
    store.project_with_revision(&ProjectId::new(project)).await.unwrap().1
}

/// The revision, which must have grown.
async fn grown(store: &Store, last: &mut i64, what: &str) {
    let now = revision(store, "123").await;
    assert!(now > *last, "{what} is not counted");
    *last = now;
}

fn connection(name: &str) -> ConnectionInput {
    ConnectionInput {
        name: name.into(),
        connector_type: "files".into(),
        version: "v0.9.4".into(),
        config: json!({"path": "/"}),
    }
}

async fn the_revision_grows_with_each_change_of_what_lists_show(db: TestDatabase) {
    let (store, project, user) = (&db.store, project(&db.store).await, user(&db.store).await);
    let mut last = revision(store, "123").await;
    let id = project.create_job(&job("a"), user).await.unwrap().id;
    grown(store, &mut last, "a new job").await;
    project.update_job(id, &job("b"), None, user).await.unwrap();
    grown(store, &mut last, "a changed job").await;
    for activate in [false, true] {
        project.activate_job(id, activate, user).await.unwrap();
        grown(store, &mut last, "a paused or resumed job").await;
    }
    let task = project.create_sync(id, user).await.unwrap().task;
    grown(store, &mut last, "a sync that waits").await;
    let claimed = claim(store, task).await;
    grown(store, &mut last, "a sync that runs").await;
    store.queue().end(claimed.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    grown(store, &mut last, "a sync that has ended").await;
    for side in [Side::Source, Side::Destination] {
        let made = project.create_connection(side, &connection("c"), user).await.unwrap().id;
        grown(store, &mut last, "a new connection").await;
        project.update_connection(side, made, &connection("d"), None, user).await.unwrap();
        grown(store, &mut last, "a changed connection").await;
        project.delete_connection(side, made, None, user).await.unwrap();
        grown(store, &mut last, "a deleted connection").await;
    }
    project.delete_job(id, None, user).await.unwrap();
    grown(store, &mut last, "a deleted job").await;
    let rename = format!("UPDATE users SET username = 'renamed' WHERE id = {user}");
    store.connection().execute_unprepared(&rename).await.unwrap();
    grown(store, &mut last, "another name of an account").await;
}

async fn what_lists_do_not_show_leaves_the_revision_alone(db: TestDatabase) {
    let (store, project, user) = (&db.store, project(&db.store).await, user(&db.store).await);
    let other = revision(store, "olake").await;
    let id = project.create_job(&job("a"), user).await.unwrap().id;
    let task = project.create_sync(id, user).await.unwrap().task;
    let claimed = claim(store, task).await;
    let before = revision(store, "123").await;
    jobs(&project, &JobFilter::default(), Page::default()).await;
    project.job(id).await.unwrap();
    store.queue().push_state(claimed.fence, id, 1, "{}").await.unwrap();
    store.queue().push_stats(claimed.fence, "{}", Some(1), Some(1)).await.unwrap();
    assert_eq!(revision(store, "123").await, before);
    assert_eq!(revision(store, "olake").await, other, "another project's jobs");
}

async fn an_account_that_goes_counts_once(db: TestDatabase) {
    let (store, project, user) = (&db.store, project(&db.store).await, user(&db.store).await);
    for name in ["a", "b", "c"] {
        project.create_job(&job(name), user).await.unwrap();
    }
    let before = revision(store, "123").await;
    store.connection().execute_unprepared(&format!("DELETE FROM users WHERE id = {user}")).await.unwrap();
    assert_eq!(revision(store, "123").await, before + 1);
    assert_eq!(jobs(&project, &JobFilter::default(), Page::default()).await[0].created_by, None);
}

async fn changes_of_many_jobs_at_once_are_all_counted(db: TestDatabase) {
    let (store, project, user) = (&db.store, project(&db.store).await, user(&db.store).await);
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(project.create_job(&job(&format!("j{number}")), user).await.unwrap().id);
    }
    let before = revision(store, "123").await;
    let changes = ids.iter().flat_map(|id| [(*id, false), (*id, true)]);
    let all = changes.map(|(id, activate)| {
        let project = project.clone();
        async move { project.activate_job(id, activate, user).await }
    });
    for done in futures::future::join_all(all).await {
        done.unwrap();
    }
    let paused = jobs(&project, &JobFilter::default(), Page::default()).await;
    let changed = paused.iter().map(|job| job.revision - 1).sum::<i64>();
    assert_eq!(revision(store, "123").await, before + changed);
    let rows = Statement::from_string(
        store.connection().get_database_backend(),
        "SELECT shard FROM list_revisions WHERE project_id = '123' AND shard < 16",
    );
    assert_eq!(
        store.connection().query_all_raw(rows).await.unwrap().len(),
        16,
        "the jobs share sixteen counters"
    );
}

async fn the_brief_list_is_the_list_without_documents(db: TestDatabase) {
    let (store, project, user) = (&db.store, project(&db.store).await, user(&db.store).await);
    for name in ["a", "b", "c"] {
        let id = project.create_job(&job(name), user).await.unwrap().id;
        if name == "b" {
            project.create_sync(id, user).await.unwrap();
        }
    }
    let page = Page { limit: Some(2), after: None };
    let full = jobs(&project, &JobFilter::default(), page).await;
    let brief = project.jobs_brief(&full.iter().map(|job| job.id).collect::<Vec<_>>()).await.unwrap();
    assert_eq!((full.len(), brief.len()), (2, 2));
    for (full, brief) in full.iter().zip(&brief) {
        assert_eq!((full.id, &full.name, &full.last_run), (brief.id, &brief.name, &brief.last_run));
        assert_eq!((&full.source.name, full.destination.id), (&brief.source.name, brief.destination.id));
        assert_eq!((&full.created_by, full.updated_at), (&brief.created_by, brief.updated_at));
    }
    let _ = store;
}

async fn names_are_searched_for_as_they_are(db: TestDatabase) {
    let (project, user) = (project(&db.store).await, user(&db.store).await);
    for name in ["Orders nightly", "orders_50%", "customers"] {
        project.create_job(&job(name), user).await.unwrap();
    }
    let found = async |text: &str| {
        let filter = JobFilter { search: Some(text.into()), ..JobFilter::default() };
        let jobs = jobs(&project, &filter, Page::default()).await;
        jobs.into_iter().map(|job| job.name).collect::<Vec<_>>()
    };
    assert_eq!(found("ORDERS").await, ["orders_50%", "Orders nightly"]);
    assert_eq!(found("_50%").await, ["orders_50%"]);
    assert_eq!(found("%").await, ["orders_50%"]);
    assert!(found("' OR 1=1").await.is_empty());
    assert_eq!(found("").await.len(), 3);
    let sources = project.connection_keys(Side::Source, Some("SHO"), Page::default()).await.unwrap();
    let sources = project.connections(Side::Source, &ids(&sources)).await.unwrap();
    assert_eq!((sources.len(), sources[0].1.len()), (1, 3));
    assert!(
        project.connection_keys(Side::Destination, Some("shop"), Page::default()).await.unwrap().is_empty()
    );
}

async fn what_changes_after_the_keys_were_read_is_read_by_them_all_the_same(db: TestDatabase) {
    let (project, user) = (project(&db.store).await, user(&db.store).await);
    for name in ["a", "b", "c", "d"] {
        project.create_job(&job(name), user).await.unwrap();
    }
    let keys = ids(&project.job_keys(&JobFilter::default(), Page::default()).await.unwrap());
    let [d, c, b, a] = keys[..] else { panic!("{keys:?}") };
    // It moves to the front of the list, and another goes.
    project.update_job(a, &job("renamed"), None, user).await.unwrap();
    project.delete_job(c, None, user).await.unwrap();
    let first: Vec<_> = project.jobs(&[d, c]).await.unwrap().into_iter().map(|job| job.id).collect();
    let rest: Vec<_> = project.jobs_brief(&[b, a]).await.unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!((first, rest), (vec![d], vec![a, b]));
    assert!(project.jobs(&[]).await.unwrap().is_empty());
}
