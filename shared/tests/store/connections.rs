//! Sources and destinations: their secrets, names and revisions.

use olake_shared::{
    domain::project::ProjectId,
    store::{
        StoreError,
        connections::{ConnectionInput, Page, Side},
        specs::SpecKey,
        tasks::{
            claim::Claim,
            end::Final,
            input::{OneShot, OneShotResult},
            limits::Limits,
        },
    },
};
use serde_json::json;

use crate::{
    databases::{self, TestDatabase},
    on_both_databases,
    stage::{clean, job, setting, shop, worker},
};

on_both_databases!(
    configs_are_kept_sealed_and_shown_with_tokens,
    a_spec_that_arrives_later_seals_what_it_names,
    names_are_unique_among_those_not_deleted,
    racing_creates_have_one_winner,
    a_source_in_use_is_not_deleted_and_keeps_its_type,
    a_stale_revision_changes_nothing,
);

async fn configs_are_kept_sealed_and_shown_with_tokens(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let made = project.create_connection(Side::Source, &shop(), user).await.unwrap();
    let token = made.config["password"].as_str().unwrap().to_owned();
    assert!(token.starts_with("sealed:"), "{token}");
    assert_eq!(made.config["big"].to_string(), "12345678901234567890123");
    assert_eq!(made.config.as_object().unwrap().keys().collect::<Vec<_>>(), ["z", "path", "password", "big"]);

    let row = olake_shared::store::entities::source::Entity::find_by_id_raw(&db, made.id).await;
    assert!(
        !row.contains("hunter22") && !row.contains("/in") && !row.contains(&token),
        "stored in clear: {row}"
    );

    let opened = db.store.open_config(project.project(), Side::Source, &made.config).unwrap();
    assert_eq!(opened, shop().config);

    // What was read is posted back: the token is the secret, and the same one again.
    let back = ConnectionInput { config: made.config.clone(), ..shop() };
    let updated = project.update_connection(Side::Source, made.id, &back, None, user).await.unwrap();
    assert_eq!(updated.config, made.config);
    assert_eq!(
        db.store.open_config(project.project(), Side::Source, &updated.config).unwrap(),
        shop().config
    );

    // A token of another place opens nothing, and the error names the field.
    let mut moved = made.config.clone();
    moved["passphrase"] = moved["password"].clone();
    let moved = ConnectionInput { config: moved, name: "moved".into(), ..shop() };
    let error = project.create_connection(Side::Source, &moved, user).await.unwrap_err();
    assert!(matches!(error, StoreError::Secret(_)) && error.to_string().contains("passphrase"), "{error}");
    let other = db.store.project(&ProjectId::new("olake")).await.unwrap();
    let foreign = other.create_connection(Side::Source, &back, user).await.unwrap_err();
    assert!(matches!(foreign, StoreError::Secret(_)), "{foreign}");
}

trait RawRow {
    async fn find_by_id_raw(db: &TestDatabase, id: i64) -> String;
}

impl RawRow for olake_shared::store::entities::source::Entity {
    async fn find_by_id_raw(db: &TestDatabase, id: i64) -> String {
        use sea_orm::EntityTrait;
        format!("{:?}", Self::find_by_id(id).one(db.store.connection()).await.unwrap().unwrap())
    }
}

async fn a_spec_that_arrives_later_seals_what_it_names(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let input = ConnectionInput { config: json!({"pin": "4711-4711"}), ..shop() };
    let made = project.create_connection(Side::Source, &input, user).await.unwrap();
    assert_eq!(made.config["pin"], "4711-4711", "no name of a secret, and no spec yet");

    let worker = worker(&db.store).await;
    let ask = OneShot::Spec { destination_type: None };
    let task = project.create_one_shot("files", "v0.9.4", &ask, user).await.unwrap().task;
    let Some(Claim::Taken(claimed)) =
        db.store.queue().claim(task, worker, "here", Limits::default()).await.unwrap()
    else {
        panic!()
    };
    let spec = json!({"jsonschema": {"properties": {"pin": {"type": "string", "format": "password"}}}, "uischema": "{}"});
    let key = SpecKey { connector_type: "files".into(), version: "v0.9.4".into(), destination_type: None };
    let end = Final {
        result: Some(OneShotResult::Spec { spec: spec.to_string() }),
        spec: Some((key.clone(), spec.to_string())),
        ..clean()
    };
    db.store.queue().end(claimed.fence, &end).await.unwrap();
    assert_eq!(db.store.cached_spec(&key).await.unwrap().unwrap(), spec.to_string());
    let shown = project.connection(Side::Source, made.id).await.unwrap();
    assert!(shown.config["pin"].as_str().unwrap().starts_with("sealed:"));
    assert_eq!(db.store.open_config(project.project(), Side::Source, &shown.config).unwrap(), input.config);
}

async fn names_are_unique_among_those_not_deleted(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let made = project.create_connection(Side::Source, &shop(), user).await.unwrap();
    let error = project.create_connection(Side::Source, &shop(), user).await.unwrap_err();
    assert_eq!(error.to_string(), "source name 'shop' is not unique");
    assert_eq!(project.delete_connection(Side::Source, made.id, None, user).await.unwrap(), "shop");
    let again = project.create_connection(Side::Source, &shop(), user).await.unwrap();
    assert_ne!(again.id, made.id);
    assert!(matches!(project.connection(Side::Source, made.id).await, Err(StoreError::NotFound(_))));
    // The other side, and another project, have names of their own.
    project.create_connection(Side::Destination, &shop(), user).await.unwrap();
    let other = db.store.project(&ProjectId::new("olake")).await.unwrap();
    other.create_connection(Side::Source, &shop(), user).await.unwrap();
}

async fn racing_creates_have_one_winner(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let input = job("same");
    let racers = (0..8).map(|_| project.create_job(&input, user));
    let results = futures::future::join_all(racers).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1);
    for lost in results.iter().filter_map(|r| r.as_ref().err()) {
        assert!(matches!(lost, StoreError::NameTaken { .. }), "{lost}");
    }
    assert_eq!(
        project.connection_keys(Side::Source, None, Page::default()).await.unwrap().len(),
        1,
        "a loser left a source"
    );
}

async fn a_source_in_use_is_not_deleted_and_keeps_its_type(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let a = project.create_job(&job("b"), user).await.unwrap();
    project.create_job(&job("a"), user).await.unwrap();
    let error = project.delete_connection(Side::Source, a.source.id, None, user).await.unwrap_err();
    assert_eq!(error.to_string(), "source 'shop' is used by 2 jobs: a, b");
    let other_type = ConnectionInput { connector_type: "mysql".into(), ..shop() };
    let error =
        project.update_connection(Side::Source, a.source.id, &other_type, None, user).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid { ref field, .. } if field == "type"), "{error}");
    let jobs = project.jobs_of_connection(Side::Source, a.source.id).await.unwrap();
    assert_eq!((jobs.len(), jobs[0].other_name.as_str()), (2, "lake"));
}

async fn a_stale_revision_changes_nothing(db: TestDatabase) {
    let (project, user) = setting(&db).await;
    let made = project.create_connection(Side::Source, &shop(), user).await.unwrap();
    let renamed = ConnectionInput { name: "renamed".into(), ..shop() };
    let first =
        project.update_connection(Side::Source, made.id, &renamed, Some(made.revision), user).await.unwrap();
    assert_eq!(first.revision, made.revision + 1);
    let stale = project
        .update_connection(Side::Source, made.id, &shop(), Some(made.revision), user)
        .await
        .unwrap_err();
    assert!(matches!(stale, StoreError::Stale { current } if current == first.revision));
    assert_eq!(project.connection(Side::Source, made.id).await.unwrap().name, "renamed");
}
