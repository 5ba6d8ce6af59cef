//! A database for one test, removed after it.

use std::{path::PathBuf, time::Duration};

use olake_migrations::{Migrator, MigratorTrait};
use olake_shared::{
    config::Secret,
    store::{open_postgres, open_sqlite},
};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::Proxy;

const VARIABLE: &str = "OLAKE_TEST_POSTGRES_URL";

/// An open database and what has to be removed after it.
pub struct Database {
    connection: DatabaseConnection,
    remains: Remains,
}

enum Remains {
    Folder(#[allow(dead_code, reason = "removed when it is dropped")] TempDir),
    Postgres { server: String, name: String },
}

impl Database {
    pub async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let file: PathBuf = folder.path().join("olake.db");
        Self { connection: open_sqlite(&file).await.unwrap(), remains: Remains::Folder(folder) }
    }

    pub async fn postgres() -> Self {
        let (server, name) = create().await;
        let connection = connect(&with_database(&server, &name), 5).await;
        Migrator::up(&connection, None).await.unwrap();
        Self { connection, remains: Remains::Postgres { server, name } }
    }

    /// A PostgreSQL database that is not ours: with the tables that `sql` makes.
    pub async fn foreign(sql: &str) -> Self {
        let (server, name) = create().await;
        let connection = connect(&with_database(&server, &name), 5).await;
        connection.execute_unprepared(sql).await.unwrap();
        Self { connection, remains: Remains::Postgres { server, name } }
    }

    /// The address of a PostgreSQL database.
    pub fn url(&self) -> Secret {
        match &self.remains {
            Remains::Postgres { server, name } => Secret::new(with_database(server, name)),
            Remains::Folder(_) => panic!("SQLite has no address"),
        }
    }

    pub async fn postgres_behind_a_proxy() -> (Self, Proxy) {
        let (server, name) = create().await;
        let url = with_database(&server, &name);
        let (before, rest) = url.split_once('@').expect("the URL has a user");
        let (address, path) = rest.split_once('/').expect("the URL has a database");
        let proxy = Proxy::to(address).await;
        let connection = connect(&format!("{before}@{}/{path}", proxy.address()), 5).await;
        Migrator::up(&connection, None).await.unwrap();
        (Self { connection, remains: Remains::Postgres { server, name } }, proxy)
    }

    pub fn connection(&self) -> DatabaseConnection {
        self.connection.clone()
    }

    pub async fn execute(&self, sql: &str) {
        self.connection.execute_unprepared(sql).await.unwrap();
    }
}

async fn create() -> (String, String) {
    let server = std::env::var(VARIABLE).unwrap_or_else(|_| {
        panic!("{VARIABLE} is not set. `make test` starts a PostgreSQL server and sets it")
    });
    let name = format!("test_{}", Uuid::new_v4().simple());
    let admin = connect(&server, 1).await;
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
    admin.close().await.unwrap();
    (server, name)
}

async fn connect(url: &str, connections: u32) -> DatabaseConnection {
    open_postgres(&Secret::new(url), connections, Duration::from_secs(2)).await.unwrap()
}

/// The URL of another database of the same server.
fn with_database(server: &str, name: &str) -> String {
    let (base, _) = server.rsplit_once('/').expect("the URL has a database");
    format!("{base}/{name}")
}

impl Drop for Database {
    fn drop(&mut self) {
        let Remains::Postgres { server, name } = &self.remains else { return };
        let (server, name) = (server.clone(), name.clone());
        // The test's own runtime may be ending.
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let admin = connect(&server, 1).await;
                let _ =
                    admin.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
            });
        });
        let _ = removed.join();
    }
}
