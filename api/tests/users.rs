//! Accounts, as administrators manage them.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use chrono::TimeDelta;
use olake_shared::{crypto::token::new_token, store::accounts::NewUser};
use serde_json::{Value, json};
use support::{Client, TestApp, on_both_databases};

const USERS: &str = "/api/v1/users";

fn ann() -> Value {
    json!({"username": "ann", "email": "ann@example.com", "password": "correct horse"})
}

/// A client of an account that is no administrator, and the account's id.
async fn plain(app: &TestApp, name: &str) -> (Client, i64) {
    let new = NewUser {
        username: name.to_owned(),
        email: format!("{name}@example.com"),
        password_hash: "none".to_owned(),
        is_admin: false,
    };
    let user = app.context.store.create_user(new).await.unwrap();
    let token = new_token();
    app.context.store.create_session(user.id, &token, TimeDelta::hours(1)).await.unwrap();
    (app.anon.with_header("Authorization", &format!("Bearer {token}")), user.id)
}

on_both_databases! {
    async fn an_administrator_makes_changes_and_deletes_accounts(app: TestApp) {
        let made = app.user.post(USERS, ann()).await.expect(200).data();
        let path = format!("{USERS}/{}", made["id"]);
        assert_eq!(made, json!({"id": made["id"], "username": "ann", "email": "ann@example.com"}));
        assert_eq!(app.user.get(USERS).await.expect(200).data()[0], made);
        app.anon.post("/login", json!({"username": "ann", "password": "correct horse"})).await.expect(200);

        let changed = json!({"username": "anna", "email": "anna@example.com", "password": "battery staple"});
        let changed = app.user.put(&path, changed).await.expect(200).data();
        assert_eq!((&changed["username"], &changed["email"]), (&json!("anna"), &json!("anna@example.com")));
        app.anon.post("/login", json!({"username": "anna", "password": "correct horse"})).await.expect(401);
        app.anon.post("/login", json!({"username": "anna", "password": "battery staple"})).await.expect(200);

        let same = app.user.put(&path, json!({"password": ""})).await.expect(200).data();
        assert_eq!(same, changed);
        app.anon.post("/login", json!({"username": "anna", "password": "battery staple"})).await.expect(200);
        assert_eq!(app.user.delete(&path).await.expect(200).data(), json!({"username": "anna"}));
        app.user.delete(&path).await.expect(404);
        app.user.put(&path, json!({})).await.expect(404);
        app.anon.post("/login", json!({"username": "anna", "password": "battery staple"})).await.expect(401);
    }

    async fn another_password_and_the_end_of_an_account_end_its_sessions(app: TestApp) {
        let (bob, id) = plain(&app, "bob").await;
        bob.get("/auth").await.expect(200);
        app.user.put(&format!("{USERS}/{id}"), json!({"email": "robert@example.com"})).await.expect(200);
        bob.get("/auth").await.expect(200);
        app.user.put(&format!("{USERS}/{id}"), json!({"password": "correct horse"})).await.expect(200);
        bob.get("/auth").await.expect(401);
        let (carl, id) = plain(&app, "carl").await;
        app.user.delete(&format!("{USERS}/{id}")).await.expect(200);
        carl.get("/auth").await.expect(401);
    }

    async fn others_are_refused(app: TestApp) {
        let (bob, id) = plain(&app, "bob").await;
        let path = format!("{USERS}/{id}");
        for reply in [
            bob.get(USERS).await,
            bob.post(USERS, ann()).await,
            bob.put(&path, json!({})).await,
            bob.delete(&path).await,
        ] {
            assert!(reply.expect(403).error().starts_with("Insufficient permissions"));
        }
    }

    async fn a_name_and_an_address_are_of_one_account(app: TestApp) {
        app.user.post(USERS, ann()).await.expect(200);
        let (_, id) = plain(&app, "bob").await;
        let path = format!("{USERS}/{id}");
        let error = app.user.post(USERS, ann()).await.expect(409).error();
        assert_eq!(error, "username 'ann' is not unique");
        let error = app.user.put(&path, json!({"username": "ann"})).await.expect(409).error();
        assert_eq!(error, "username 'ann' is not unique");
        let error = app.user.put(&path, json!({"email": "ann@example.com"})).await.expect(409).error();
        assert_eq!(error, "email 'ann@example.com' is not unique");
        let error = app.user.put(&path, json!({"password": "short"})).await.expect(400).error();
        assert!(error.starts_with("Bad request: password: "), "{error}");
    }

    async fn the_last_administrator_stays(app: TestApp) {
        let me = format!("{USERS}/{}", app.account.id);
        let error = app.user.delete(&me).await.expect(409).error();
        assert_eq!(error, "user 'user' is the last administrator");
        app.another_user("second").await;
        app.user.delete(&me).await.expect(200);
        app.user.get("/auth").await.expect(401);
    }
}
