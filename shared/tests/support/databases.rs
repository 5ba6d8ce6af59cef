//! A fresh database for each test: SQLite in a temporary folder, or PostgreSQL on the server that
//! `OLAKE_TEST_POSTGRES_URL` names (`make test` starts one).

use std::{sync::Arc, time::Duration};

use olake_migrations::{Migrator, MigratorTrait};
use olake_shared::{
    clock::SharedClock,
    config::Secret,
    crypto::KeyRing,
    store::{Store, open_postgres, open_sqlite},
};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;
use uuid::Uuid;

/// A store on a database of its own.
pub struct TestDatabase {
    pub store: Store,
    _folder: Option<TempDir>,
}

/// The master key of tests.
pub fn keys() -> Arc<KeyRing> {
    Arc::new(KeyRing::new(&Secret::new("a master key for tests only"), &[]).unwrap())
}

/// A new SQLite file.
pub async fn sqlite(clock: SharedClock) -> TestDatabase {
    let folder = tempfile::tempdir().unwrap();
    let db = open_sqlite(&folder.path().join("olake.db")).await.unwrap();
    TestDatabase { store: Store::new(db, keys(), clock), _folder: Some(folder) }
}

/// A new database on the PostgreSQL server for tests.
pub async fn postgres(clock: SharedClock) -> TestDatabase {
    let server = std::env::var("OLAKE_TEST_POSTGRES_URL")
        .expect("OLAKE_TEST_POSTGRES_URL is not set: run the tests by `make test`, which starts PostgreSQL");
    let name = format!("test_{}", Uuid::now_v7().simple());
    let admin = connect(&server).await;
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    admin.close().await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    let url = format!("{base}/{name}");
    let db = connect(&url).await;
    Migrator::up(&db, None).await.unwrap();
    TestDatabase { store: Store::new(db, keys(), clock), _folder: None }
}

async fn connect(url: &str) -> DatabaseConnection {
    open_postgres(&Secret::new(url), 5, Duration::from_secs(20)).await.unwrap()
}

/// Makes two tests of one: `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let clock = olake_shared::clock::SystemClock::shared();
                super::$name(super::databases::sqlite(clock).await).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let clock = olake_shared::clock::SystemClock::shared();
                super::$name(super::databases::postgres(clock).await).await;
            }
        })+
    };
}
