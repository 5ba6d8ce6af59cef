//! The API as tests see it: the whole HTTP stack over a database of its own, without a network.
//!
//! ```ignore
//! mod support;
//! use support::{TestApp, on_both_databases};
//!
//! on_both_databases! {
//!     async fn a_new_source_is_listed(app: TestApp) {
//!         app.user.post("/api/v1/project/olake/sources", json!({…})).await.expect(200);
//!     }
//! }
//! ```
//!
//! A test over both is two tests, `<name>::sqlite` and `<name>::postgres`.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]
#![allow(dead_code, reason = "each test binary uses its own part of this")]

mod client;
mod database;
mod proxy;

use std::sync::Arc;

#[allow(unused_imports, reason = "not every test binary names it")]
pub use client::{Client, Reply};
#[allow(unused_imports, reason = "not every test binary names it")]
pub use database::Database;
pub use proxy::Proxy;

use olake_api::{
    Context, app,
    context::{Settings, Signup},
};
use olake_shared::{
    bell::Bell,
    clock::{SharedClock, SystemClock},
    config::Secret,
    crypto::{KeyRing, token::new_token},
    events::Events,
    store::{
        Store,
        accounts::{NewUser, User},
    },
};
use tokio_util::sync::CancellationToken;

/// The API over one database.
pub struct TestApp {
    /// What handlers see: its store, bell and events can be looked at.
    pub context: Context,
    /// A client without credentials.
    pub anon: Client,
    /// A client that is signed in (an administrator) by a bearer token.
    pub user: Client,
    /// The account of `user`.
    pub account: User,
    // Last: it is dropped after all that uses it.
    database: Database,
}

/// What a test may want otherwise.
pub struct Setup {
    pub settings: Settings,
    pub clock: SharedClock,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: Settings { signup: Signup::Open, ..Settings::default() },
            clock: SystemClock::shared(),
        }
    }
}

impl TestApp {
    /// Over SQLite in a folder of its own.
    pub async fn sqlite() -> Self {
        Self::start(Database::sqlite().await, Setup::default()).await
    }

    /// Over a new database of the PostgreSQL server that `OLAKE_TEST_POSTGRES_URL` names.
    pub async fn postgres() -> Self {
        Self::start(Database::postgres().await, Setup::default()).await
    }

    /// Over SQLite, with another setup.
    pub async fn sqlite_with(setup: Setup) -> Self {
        Self::start(Database::sqlite().await, setup).await
    }

    /// Over PostgreSQL, with a proxy between that can break the connections.
    pub async fn postgres_behind_a_proxy() -> (Self, Proxy) {
        let (database, proxy) = Database::postgres_behind_a_proxy().await;
        (Self::start(database, Setup::default()).await, proxy)
    }

    async fn start(database: Database, setup: Setup) -> Self {
        let keys = KeyRing::new(&Secret::new("a passphrase for tests only"), &[]).unwrap();
        let store = Store::new(database.connection(), Arc::new(keys), setup.clock);
        let context = Context::new(
            store,
            Bell::in_process(),
            Events::in_process(),
            setup.settings,
            CancellationToken::new(),
        );
        let anon = Client::new(app(context.clone()));
        let account = make_account(&context.store, "user").await;
        let user = sign_in(&context, &anon, &account).await;
        Self { context, anon, user, account, database }
    }

    /// A client of another account that is signed in.
    pub async fn another_user(&self, name: &str) -> Client {
        let account = make_account(&self.context.store, name).await;
        sign_in(&self.context, &self.anon, &account).await
    }

    /// The header line by which `user` is signed in: for tests on real sockets.
    pub fn authorization(&self) -> String {
        let (name, value) = self.user.headers().last().expect("a signed-in client has its token");
        format!("{name}: {value}\r\n")
    }

    /// Runs SQL, for what no operation can bring about.
    pub async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }
}

async fn make_account(store: &Store, name: &str) -> User {
    // No test signs in with this password: hashing one would be most of a test's time.
    let new = NewUser {
        username: name.into(),
        email: format!("{name}@example.com"),
        password_hash: "none".into(),
        is_admin: true,
    };
    store.create_user(new).await.unwrap()
}

async fn sign_in(context: &Context, anon: &Client, account: &User) -> Client {
    let token = new_token();
    context.store.create_session(account.id, &token, context.settings.session_ttl).await.unwrap();
    anon.with_header("Authorization", &format!("Bearer {token}"))
}

/// Makes two tests of one: over SQLite and over PostgreSQL.
#[allow(unused_macros, reason = "not every test binary uses it")]
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* async fn $name:ident($app:ident: TestApp) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every test needs all")]
            use super::*;

            $(#[$attribute])*
            async fn run($app: TestApp) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(TestApp::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run(TestApp::postgres().await).await;
            }
        }
    )+};
}
#[allow(unused_imports, reason = "not every test binary uses it")]
pub(crate) use on_both_databases;
