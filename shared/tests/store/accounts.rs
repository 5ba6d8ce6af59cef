//! Accounts and sessions.

use chrono::TimeDelta;
use olake_shared::store::accounts::NewUser;

use crate::{
    databases::{self, TestDatabase},
    on_both_databases,
};

on_both_databases!(accounts_and_sessions,);

async fn accounts_and_sessions(db: TestDatabase) {
    let store = &db.store;
    let new = NewUser {
        username: "ada".into(),
        email: "ada@example.org".into(),
        password_hash: "h".into(),
        is_admin: true,
    };
    let ada = store.create_user(new.clone()).await.unwrap();
    let again = store.create_user(new.clone()).await.unwrap_err();
    assert_eq!(again.to_string(), "username 'ada' is not unique");
    let mail = store.create_user(NewUser { username: "eve".into(), ..new }).await.unwrap_err();
    assert_eq!(mail.to_string(), "email 'ada@example.org' is not unique");

    store.create_session(ada.id, "token", TimeDelta::hours(1)).await.unwrap();
    store.create_session(ada.id, "old", TimeDelta::seconds(-1)).await.unwrap();
    assert_eq!(store.session_user("token").await.unwrap().unwrap().username, "ada");
    assert!(store.session_user("old").await.unwrap().is_none(), "an expired session opens nothing");
    assert!(store.session_user("other").await.unwrap().is_none());
    store.end_session("token").await.unwrap();
    assert!(store.session_user("token").await.unwrap().is_none());

    store.create_session(ada.id, "third", TimeDelta::hours(1)).await.unwrap();
    store.set_password("ada", "h2".into()).await.unwrap();
    assert!(store.session_user("third").await.unwrap().is_none(), "another password ends the sessions");
}
