//! Taking over an existing installation, from PostgreSQL databases that look like those of its versions.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use olake_shared::{
    config::Secret,
    domain::project::ProjectId,
    import::{self, CipherError, ImportError, Options, Passphrase, Report, Thing},
    store::{connections::Side, import::Outcome},
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use support::{Database, TestApp, on_both_databases};

const FIRST: &str = include_str!("import/first.sql");
const BEEGO: &str = include_str!("import/beego.sql");
const GORM: &str = include_str!("import/gorm.sql");
const DATA: &str = include_str!("import/data.sql");
const PROJECT: &str = "/api/v1/project/123";
const STATE: &str = r#"{"type": "GLOBAL", "global": {"state": {"lsn": "0/1A2B3C4D"}}, "streams": [{"ratio": 1.10, "chunks": 12345678901234567890123}], "version": 3}"#;

async fn there(schema: &str) -> Database {
    Database::foreign(&format!("{schema}{DATA}")).await
}

async fn attempt(
    app: &TestApp,
    there: &Database,
    passphrase: &str,
    options: &Options,
) -> Result<Report, ImportError> {
    let passphrase = Passphrase::new(&Secret::new(passphrase)).ok();
    import::run(&app.context.store, &there.url(), passphrase.as_ref(), options).await
}

async fn import_with(app: &TestApp, there: &Database, options: &Options) -> Report {
    attempt(app, there, "correct horse battery", options).await.unwrap()
}

async fn import(app: &TestApp, there: &Database) -> Report {
    import_with(app, there, &Options::default()).await
}

async fn list(app: &TestApp, what: &str) -> Vec<Value> {
    app.user.get(&format!("{PROJECT}/{what}")).await.expect(200).data().as_array().unwrap().clone()
}

/// The only one of a list with this name.
async fn named(app: &TestApp, what: &str, name: &str) -> Value {
    let all: Vec<Value> = list(app, what).await.into_iter().filter(|item| item["name"] == name).collect();
    assert_eq!(all.len(), 1, "{what} {name}: {all:?}");
    all[0].clone()
}

#[track_caller]
fn outcome(report: &Report, thing: Thing, name: &str) -> Outcome {
    let entry = report.entries.iter().find(|entry| entry.thing == thing && entry.name == name);
    entry.unwrap_or_else(|| panic!("no {} {name}: {report:?}", thing.name())).outcome.clone()
}

#[track_caller]
fn assert_kept(report: &Report, thing: Thing, name: &str, why: &str) {
    match outcome(report, thing, name) {
        Outcome::Kept(reason) => assert!(reason.contains(why), "{reason}"),
        other => panic!("{} {name} is not kept: {other:?}", thing.name()),
    }
}

async fn counts(app: &TestApp) -> Vec<i64> {
    let db = app.context.store.connection();
    let mut counts = Vec::new();
    for table in ["users", "sources", "destinations", "jobs", "job_states", "imports"] {
        let sql = format!("SELECT CAST(COUNT(*) AS BIGINT) AS n FROM {table}");
        let statement = sea_orm::Statement::from_string(db.get_database_backend(), sql);
        counts.push(db.query_one_raw(statement).await.unwrap().unwrap().try_get("", "n").unwrap());
    }
    counts
}

async fn stored_hash(app: &TestApp, name: &str) -> String {
    app.context.store.user_by_name(name).await.unwrap().unwrap().1
}

on_both_databases! {
    async fn everything_is_taken_over_and_visible(app: TestApp) {
        let there = there(BEEGO).await;
        let report = import(&app, &there).await;
        for (thing, name) in [
            (Thing::User, "ann"), (Thing::User, "bob"), (Thing::Source, "shop database"), (Thing::Source, "events"),
            (Thing::Destination, "lake"), (Thing::Job, "nightly"), (Thing::Job, "by hand"), (Thing::Job, "events"), (Thing::State, "nightly"),
        ] {
            assert_eq!(outcome(&report, thing, name), Outcome::Made, "{} {name}", thing.name());
        }
        assert_eq!(list(&app, "sources").await.len(), 2, "what was deleted there stays away");

        let source = named(&app, "sources", "shop database").await;
        assert_eq!((&source["type"], &source["version"], &source["created_by"]), (&json!("postgres"), &json!("v0.9.4"), &json!("ann")));
        assert_eq!((&source["created_at"], &source["config"]["port"]), (&json!("2025-02-01T00:00:00+00:00"), &json!(5432)));
        assert!(source["config"]["password"].as_str().unwrap().starts_with("sealed:"), "{source}");
        assert!(named(&app, "destinations", "lake").await["config"]["writer"]["s3_secret_key"].as_str().unwrap().starts_with("sealed:"));
        let opened = app.context.store.open_config(&ProjectId::new("123"), Side::Source, &source["config"]).unwrap();
        assert_eq!(opened["password"], "s3cret-source");

        let job = named(&app, "jobs", "nightly").await;
        assert_eq!((&job["frequency"], &job["activate"], &job["source"]["name"]), (&json!("0 2 * * *"), &json!(true), &json!("shop database")));
        assert_eq!(job["streams_config"]["selected_streams"], json!({"public": [{"stream_name": "orders"}]}));
        assert_eq!(named(&app, "jobs", "by hand").await["activate"], false);
        let paused = report.entries.iter().find(|e| e.thing == Thing::Job && e.name == "events").unwrap();
        assert_eq!(named(&app, "jobs", "events").await["activate"], false);
        assert!(paused.notes.iter().any(|note| note.contains("v0.2.0 is too old")), "{:?}", paused.notes);
        assert!(paused.notes.iter().any(|note| note.contains("'whenever'")), "{:?}", paused.notes);

        let project = app.context.project("123").await.unwrap();
        let state = |job: &Value| { let (project, id) = (project.clone(), job["id"].as_i64().unwrap()); async move { project.state(id).await.unwrap().text } };
        assert_eq!(state(&job).await.as_deref(), Some(STATE), "kept as PostgreSQL wrote it, to the byte");
        assert_eq!(state(&named(&app, "jobs", "by hand").await).await, None);
    }

    async fn an_old_password_signs_in_and_its_hash_is_made_again(app: TestApp) {
        let there = there(BEEGO).await;
        import(&app, &there).await;
        assert!(stored_hash(&app, "ann").await.starts_with("$2a$10$"));
        let login = |name: &str, password: &str| {
            let (anon, body) = (app.anon.clone(), json!({"username": name, "password": password}));
            async move { anon.post("/login", body).await }
        };
        login("ann", "wrong").await.expect(401);
        assert!(stored_hash(&app, "ann").await.starts_with("$2a$10$"));
        let token = login("ann", "password").await.expect(200).data()["token"].as_str().unwrap().to_owned();
        let hash = stored_hash(&app, "ann").await;
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        let ann = app.anon.with_header("Authorization", &format!("Bearer {token}"));
        ann.get("/auth").await.expect(200);
        ann.get("/api/v1/users").await.expect(403);
        login("ann", "password").await.expect(200);
        assert_eq!(stored_hash(&app, "ann").await, hash, "once is enough");
        assert_eq!(outcome(&import(&app, &there).await, Thing::User, "ann"), Outcome::Unchanged);
        assert_eq!(stored_hash(&app, "ann").await, hash);
        login("bob", "no hash at all").await.expect(401);
    }

    async fn a_second_run_changes_nothing(app: TestApp) {
        let there = there(BEEGO).await;
        import(&app, &there).await;
        let before = (counts(&app).await, list(&app, "sources").await, list(&app, "destinations").await, list(&app, "jobs").await);
        let report = import(&app, &there).await;
        // The hash of bob's password cannot be used: he is given one that nobody knows, and keeps it.
        assert!(report.entries.iter().all(|entry| entry.outcome == Outcome::Unchanged), "{report:?}");
        assert!(report.changes_nothing());
        let after = (counts(&app).await, list(&app, "sources").await, list(&app, "destinations").await, list(&app, "jobs").await);
        assert_eq!(after, before);
    }

    async fn a_dry_run_says_the_same_and_writes_nothing(app: TestApp) {
        let there = there(BEEGO).await;
        let before = counts(&app).await;
        let dry = import_with(&app, &there, &Options { dry_run: true, ..Options::default() }).await;
        assert_eq!(counts(&app).await, before);
        assert_eq!(list(&app, "jobs").await, Vec::<Value>::new());
        assert_eq!(import(&app, &there).await, dry);
    }

    async fn without_the_right_passphrase_nothing_is_written(app: TestApp) {
        let there = there(BEEGO).await;
        let before = counts(&app).await;
        let wrong = attempt(&app, &there, "wrong", &Options::default()).await.unwrap_err();
        assert!(matches!(wrong, ImportError::Cipher(CipherError::WrongPassphrase(3))), "{wrong}");
        assert!(wrong.to_string().contains("the passphrase is wrong"), "{wrong}");
        let none = import::run(&app.context.store, &there.url(), None, &Options::default()).await.unwrap_err();
        assert!(matches!(none, ImportError::Cipher(CipherError::NoPassphrase(3))), "{none}");
        assert_eq!(counts(&app).await, before);
    }

    async fn what_changed_there_is_changed_here_unless_it_was_changed_here_too(app: TestApp) {
        let there = there(BEEGO).await;
        import(&app, &there).await;
        let by_hand = named(&app, "jobs", "by hand").await["id"].as_i64().unwrap();
        app.user.post(&format!("{PROJECT}/jobs/{by_hand}/activate"), json!({"activate": true})).await.expect(200);
        there.execute(
            "UPDATE \"olake-prod-job\" SET frequency = '0 3 * * *' WHERE id IN (7, 8); \
             UPDATE \"olake-prod-job\" SET state = '{\"moved\": 2}' WHERE id = 7; \
             UPDATE \"olake-prod-destination\" SET name = 'ocean', config = '{\"type\": \"PARQUET\"}'; \
             UPDATE \"olake-prod-user\" SET email = 'ann@example.com' WHERE id = 1",
        ).await;
        let report = import(&app, &there).await;
        for (thing, name) in [(Thing::User, "ann"), (Thing::Destination, "ocean"), (Thing::Job, "nightly"), (Thing::State, "nightly")] {
            assert_eq!(outcome(&report, thing, name), Outcome::Updated, "{} {name}", thing.name());
        }
        assert_kept(&report, Thing::Job, "by hand", "changed here");
        assert_eq!(named(&app, "jobs", "nightly").await["frequency"], "0 3 * * *");
        let kept = named(&app, "jobs", "by hand").await;
        assert_eq!((&kept["frequency"], &kept["activate"]), (&json!("15-minutes"), &json!(true)));
        assert_eq!(named(&app, "destinations", "ocean").await["config"], json!({"type": "PARQUET"}));
        assert!(import(&app, &there).await.changes_nothing());
    }

    async fn a_job_with_a_state_of_its_own_keeps_it(app: TestApp) {
        let there = there(BEEGO).await;
        import(&app, &there).await;
        let job = named(&app, "jobs", "nightly").await["id"].as_i64().unwrap();
        let project = app.context.project("123").await.unwrap();
        project.put_state(job, r#"{"here": 1}"#, None, app.account.id).await.unwrap();
        there.execute("UPDATE \"olake-prod-job\" SET state = '{\"moved\": 2}' WHERE id = 7").await;
        assert_kept(&import(&app, &there).await, Thing::State, "nightly", "a state of its own");
        assert_eq!(project.state(job).await.unwrap().text.as_deref(), Some(r#"{"here": 1}"#));
    }

    async fn what_was_deleted_here_stays_deleted(app: TestApp) {
        let there = there(BEEGO).await;
        import(&app, &there).await;
        let job = named(&app, "jobs", "nightly").await["id"].as_i64().unwrap();
        app.user.delete(&format!("{PROJECT}/jobs/{job}")).await.expect(200);
        assert_kept(&import(&app, &there).await, Thing::Job, "nightly", "deleted here");
        assert_eq!(list(&app, "jobs").await.len(), 2);
    }

    async fn names_that_are_taken_are_told_and_nothing_of_here_is_touched(app: TestApp) {
        let there = there(BEEGO).await;
        let mine = json!({"name": "shop database", "type": "postgres", "version": "v0.9.4", "config": {"host": "mine"}});
        app.user.post(&format!("{PROJECT}/sources"), mine).await.expect(200);
        app.execute("INSERT INTO users (username, email, password_hash, is_admin, created_at) VALUES ('bob', 'other@example.org', 'mine', false, 1)").await;
        let report = import(&app, &there).await;
        let refused = |reason: &str| Outcome::Refused(reason.to_owned());
        assert_eq!(outcome(&report, Thing::Source, "shop database"), refused("another source of this name is here already"));
        assert_eq!(outcome(&report, Thing::Job, "nightly"), refused("its source was not taken over"));
        assert_eq!(outcome(&report, Thing::Job, "events"), Outcome::Made);
        assert_kept(&report, Thing::User, "bob", "an account of this name is here already");
        assert_eq!(named(&app, "sources", "shop database").await["config"]["host"], "mine");
        assert_eq!(stored_hash(&app, "bob").await, "mine");
    }

    async fn the_newest_schema_is_read_with_its_settings_and_catalogs_in_two_parts(app: TestApp) {
        let there = there(GORM).await;
        there.execute(
            "UPDATE \"olake-prod-job\" SET advanced_settings = '{\"max_discover_threads\": 40}' WHERE id = 7; \
             UPDATE \"olake-prod-job\" SET streams_config = NULL, \
                available_streams_config = '{\"streams\": [{\"stream\": {\"name\": \"a\", \"namespace\": \"n\", \"sync_mode\": \"cdc\"}}]}', \
                selected_streams_config = '{\"selected_streams\": {\"n\": [{\"stream_name\": \"a\", \"sync_mode\": \"full_refresh\"}]}}' WHERE id = 8; \
             UPDATE \"olake-prod-job\" SET streams_config = NULL, state = NULL, advanced_settings = NULL WHERE id = 9",
        ).await;
        let report = import(&app, &there).await;
        assert_eq!(named(&app, "jobs", "nightly").await["advanced_settings"]["max_discover_threads"], 40);
        let streams = &named(&app, "jobs", "by hand").await["streams_config"];
        assert_eq!(streams["streams"][0]["stream"]["sync_mode"], "full_refresh");
        assert!(matches!(outcome(&report, Thing::Job, "events"), Outcome::Refused(_)));
        assert!(report.remarks.iter().any(|remark| remark.contains("the webhook of project '123'")), "{:?}", report.remarks);
        assert!(report.remarks.iter().all(|remark| !remark.contains("hooks.example.org")));
    }

    async fn the_first_schema_is_read_as_far_as_it_goes(app: TestApp) {
        let there = Database::foreign(FIRST).await;
        let report = import(&app, &there).await;
        assert_eq!(outcome(&report, Thing::User, "ann"), Outcome::Made);
        let Outcome::Refused(reason) = outcome(&report, Thing::Source, "shop") else { panic!("{report:?}") };
        assert!(reason.contains("no version of its connector"), "{reason}");
        there.execute(
            "ALTER TABLE \"olake-dev-source\" ADD version varchar(255) NOT NULL DEFAULT 'v0.3.1'; \
             ALTER TABLE \"olake-dev-destination\" ADD version varchar(255) NOT NULL DEFAULT 'v0.3.1'",
        ).await;
        let report = import(&app, &there).await;
        assert_eq!(outcome(&report, Thing::Job, "nightly"), Outcome::Made);
        assert_eq!(named(&app, "sources", "shop").await["type"], "postgres");
    }

    async fn jobs_can_come_paused_and_be_made_active_by_a_later_run(app: TestApp) {
        let there = there(BEEGO).await;
        let options = Options { paused: true, admins: vec!["ann".to_owned()], ..Options::default() };
        import_with(&app, &there, &options).await;
        assert_eq!(named(&app, "jobs", "nightly").await["activate"], false);
        assert!(app.context.store.user_by_name("ann").await.unwrap().unwrap().0.is_admin);
        assert!(!app.context.store.user_by_name("bob").await.unwrap().unwrap().0.is_admin);
        assert_eq!(outcome(&import(&app, &there).await, Thing::Job, "nightly"), Outcome::Updated);
        let job = named(&app, "jobs", "nightly").await["id"].as_i64().unwrap();
        let job = app.context.project("123").await.unwrap().job(job).await.unwrap();
        assert!(job.activate && job.next_run_at.is_some());
    }

    async fn projects_and_modes_that_are_not_clear_are_asked_for(app: TestApp) {
        let there = there(BEEGO).await;
        there.execute("UPDATE \"olake-prod-source\" SET project_id = 'team' WHERE id = 3").await;
        let error = attempt(&app, &there, "correct horse battery", &Options::default()).await.unwrap_err();
        assert!(matches!(&error, ImportError::NoProject(name) if name == "team"), "{error}");
        let into = Options { project: Some(ProjectId::new("olake")), ..Options::default() };
        import_with(&app, &there, &into).await;
        let jobs = app.user.get("/api/v1/project/olake/jobs").await.expect(200).data();
        assert_eq!(jobs.as_array().unwrap().len(), 3);
        there.execute("CREATE TABLE \"olake-dev-job\" (id int)").await;
        let error = attempt(&app, &there, "correct horse battery", &into).await.unwrap_err();
        assert!(error.to_string().contains("--run-mode (dev, prod)"), "{error}");
        let named = Options { run_mode: Some("prod".to_owned()), ..into };
        assert!(import_with(&app, &there, &named).await.changes_nothing());
        let nobody = Options { admins: vec!["nobody".to_owned()], ..named };
        assert!(matches!(attempt(&app, &there, "correct horse battery", &nobody).await, Err(ImportError::NoAdmin(_))));
        let empty = Database::foreign("SELECT 1").await;
        let error = attempt(&app, &empty, "any", &Options::default()).await.unwrap_err();
        assert!(error.to_string().contains("no OLake installation"), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_does_not_open_is_told_without_its_password() {
    let app = TestApp::sqlite().await;
    for address in [
        "postgres://olake:hunter22@127.0.0.1:9/old",
        "mysql://olake:hunter22@127.0.0.1/old",
        "postgres://olake:hunter22@[::1/old",
    ] {
        let error = import::run(&app.context.store, &Secret::new(address), None, &Options::default())
            .await
            .unwrap_err();
        assert!(matches!(error, ImportError::Installation(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter22"), "{error:?}");
    }
}
