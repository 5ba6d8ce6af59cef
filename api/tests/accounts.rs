//! Signing up, in and out.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::sync::Arc;

use chrono::TimeDelta;
use olake_api::context::{Settings, Signup};
use olake_shared::clock::TestClock;
use serde_json::json;
use support::{Client, Reply, Setup, TestApp, on_both_databases};

const PASSWORD: &str = "correct horse";

async fn sign_up(app: &TestApp, username: &str) -> Reply {
    let body =
        json!({"email": format!("{username}@example.org"), "username": username, "password": PASSWORD});
    app.anon.post("/signup", body).await
}

async fn login(client: &Client, username: &str, password: &str) -> Reply {
    client.post("/login", json!({"username": username, "password": password})).await
}

/// The session's cookie as a browser would send it back.
fn cookie(reply: &Reply) -> String {
    let set = reply.header("set-cookie").expect("a cookie is set");
    set.split(';').next().unwrap().to_owned()
}

on_both_databases! {
    async fn an_account_signs_up_and_in_and_out(app: TestApp) {
        let made = sign_up(&app, "ann").await.expect(200);
        assert_eq!(made.data(), json!({"email": "ann@example.org", "username": "ann"}));

        let reply = login(&app.anon, "ann", PASSWORD).await.expect(200);
        assert_eq!(reply.data()["username"], "ann");
        let token = reply.data()["token"].as_str().unwrap().to_owned();
        let ann = app.anon.with_header("Authorization", &format!("Bearer {token}"));
        assert_eq!(ann.get("/auth").await.expect(200).data(), json!({"username": "ann"}));

        let out = ann.post_nothing("/logout").await.expect(200);
        assert_eq!(out.data(), json!(null));
        assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
        assert_eq!(ann.get("/auth").await.expect(401).error(), "Authentication required");
    }

    async fn the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(app: TestApp) {
        sign_up(&app, "ann").await.expect(200);
        let reply = login(&app.anon, "ann", PASSWORD).await.expect(200);
        let set = reply.header("set-cookie").unwrap().to_owned();
        assert!(set.starts_with("olake-session="), "{set}");
        for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
            assert!(set.contains(part), "{part} is not in {set}");
        }
        assert!(!set.contains("Secure"), "{set}");
        let browser = app.anon.with_header("Cookie", &cookie(&reply));
        assert_eq!(browser.get("/auth").await.expect(200).data()["username"], "ann");
    }

    async fn a_valid_cookie_wins_over_an_unknown_bearer(app: TestApp) {
        sign_up(&app, "ann").await.expect(200);
        let reply = login(&app.anon, "ann", PASSWORD).await.expect(200);
        let both = app.anon.with_header("Cookie", &cookie(&reply)).with_header("Authorization", "Bearer authenticated");
        both.get("/auth").await.expect(200);
        app.anon.with_header("Authorization", "Bearer authenticated").get("/auth").await.expect(401);
        let stale = app.user.with_header("Cookie", "olake-session=unknown");
        assert_eq!(stale.get("/auth").await.expect(200).data()["username"], "user");
    }

    async fn a_wrong_name_and_a_wrong_password_answer_the_same(app: TestApp) {
        sign_up(&app, "ann").await.expect(200);
        let wrong_password = login(&app.anon, "ann", "battery staple").await.expect(401);
        let wrong_name = login(&app.anon, "nobody", PASSWORD).await.expect(401);
        assert_eq!(wrong_password.error(), "Invalid credentials");
        assert_eq!(wrong_password.text, wrong_name.text);
        assert!(wrong_password.header("set-cookie").is_none());
    }

    async fn a_name_or_an_address_that_is_taken_is_a_409(app: TestApp) {
        sign_up(&app, "ann").await.expect(200);
        let body = |username, email| json!({"username": username, "email": email, "password": PASSWORD});
        let name = app.anon.post("/signup", body("ann", "other@example.org")).await.expect(409);
        assert_eq!(name.error(), "username 'ann' is not unique");
        let email = app.anon.post("/signup", body("bob", "ann@example.org")).await.expect(409);
        assert_eq!(email.error(), "email 'ann@example.org' is not unique");
        assert_eq!(app.context.store.count_users().await.unwrap(), 2);
    }

    async fn of_two_that_race_for_one_name_one_wins(app: TestApp) {
        let (one, other) = tokio::join!(sign_up(&app, "ann"), sign_up(&app, "ann"));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }

    async fn what_no_account_may_be_is_a_400_that_names_the_field(app: TestApp) {
        let good = json!({"email": "a@b.c", "username": "ann", "password": PASSWORD});
        for (field, value) in [
            ("email", json!("nowhere")),
            ("email", json!(5)),
            ("username", json!("")),
            ("username", json!("a b")),
            ("username", json!("x".repeat(65))),
            ("username", json!("a\u{0}b")),
            ("password", json!("short")),
            ("password", json!(null)),
            ("password", json!(12_345_678)),
        ] {
            let mut body = good.clone();
            body[field] = value;
            let error = app.anon.post("/signup", body).await.expect(400).error();
            assert!(error.starts_with(&format!("Bad request: {field}: ")), "{error}");
        }
        let error = app.anon.post("/login", json!({"username": "ann"})).await.expect(400).error();
        assert_eq!(error, "Bad request: password: it is missing");
        assert_eq!(app.context.store.count_users().await.unwrap(), 1);
    }

    async fn another_sites_page_cannot_change_anything_with_the_cookie(app: TestApp) {
        sign_up(&app, "ann").await.expect(200);
        let reply = login(&app.anon, "ann", PASSWORD).await.expect(200);
        let foreign = app.anon.with_header("Cookie", &cookie(&reply)).with_header("Sec-Fetch-Site", "cross-site");
        let error = foreign.post_nothing("/logout").await.expect(403).error();
        assert!(error.starts_with("Insufficient permissions"), "{error}");
        foreign.get("/auth").await.expect(200);
        foreign.with_header("Origin", "https://evil.example").post_nothing("/logout").await.expect(403);
        foreign.with_header("Origin", "http://localhost:8000").post_nothing("/logout").await.expect(200);
    }
}

#[tokio::test]
async fn guessing_is_held_back_after_ten_failures() {
    let app = TestApp::sqlite().await;
    sign_up(&app, "ann").await.expect(200);
    for _ in 0..10 {
        login(&app.anon, "ann", "a wrong guess").await.expect(401);
    }
    let held = login(&app.anon, "ann", PASSWORD).await.expect(429);
    let wait: u64 = held.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=301).contains(&wait), "{wait}");
    login(&app.anon, "somebody-else", PASSWORD).await.expect(401);
}

#[tokio::test]
async fn a_closed_server_makes_no_accounts() {
    let settings = Settings { signup: Signup::Closed, ..Settings::default() };
    let app = TestApp::sqlite_with(Setup { settings, ..Setup::default() }).await;
    let error = sign_up(&app, "ann").await.expect(403).error();
    assert!(error.starts_with("Insufficient permissions"), "{error}");
    assert_eq!(app.context.store.count_users().await.unwrap(), 1);
}

on_both_databases! {
    async fn nobody_becomes_an_administrator_by_signing_up(app: TestApp) {
        app.execute("DELETE FROM sessions").await;
        app.execute("DELETE FROM users").await;
        tokio::join!(sign_up(&app, "first"), sign_up(&app, "second"));
        let users = app.context.store.users().await.unwrap();
        assert_eq!(users.iter().map(|user| user.is_admin).collect::<Vec<_>>(), [false, false]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn right_logins_at_the_same_time_all_pass_and_guesses_do_not() {
    let app = TestApp::sqlite().await;
    sign_up(&app, "ann").await.expect(200);
    let all = |password: &'static str, number: usize| {
        futures::future::join_all((0..number).map(|_| login(&app.anon, "ann", password)))
    };
    for reply in all(PASSWORD, 15).await {
        reply.expect(200);
    }
    let guesses = all("a wrong guess", 15).await;
    assert_eq!(guesses.iter().filter(|reply| reply.status == 401).count(), 10);
    assert_eq!(guesses.iter().filter(|reply| reply.status == 429).count(), 5);
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over() {
    let clock = Arc::new(TestClock::default());
    let app = TestApp::sqlite_with(Setup { clock: clock.clone(), ..Setup::default() }).await;
    clock.advance(TimeDelta::hours(719));
    app.user.get("/auth").await.expect(200);
    clock.advance(TimeDelta::hours(1));
    app.user.get("/auth").await.expect(401);
}

#[tokio::test]
async fn over_https_the_cookie_is_secure() {
    let settings = Settings { signup: Signup::Open, cookie_secure: true, ..Settings::default() };
    let app = TestApp::sqlite_with(Setup { settings, ..Setup::default() }).await;
    sign_up(&app, "ann").await.expect(200);
    let reply = login(&app.anon, "ann", PASSWORD).await.expect(200);
    assert!(reply.header("set-cookie").unwrap().contains("Secure"));
}
