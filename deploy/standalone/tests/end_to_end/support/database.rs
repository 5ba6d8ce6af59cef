//! A PostgreSQL database for each test of the services.

use std::time::Duration;

use olake_shared::{config::Secret, store::open_postgres};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

/// The URL of a new, empty database on the server that `OLAKE_TEST_POSTGRES_URL` names.
pub fn new_database() -> String {
    let server = std::env::var("OLAKE_TEST_POSTGRES_URL")
        .expect("OLAKE_TEST_POSTGRES_URL is not set: run the tests by `make test`, which starts PostgreSQL");
    let name = format!("end_to_end_{}", Uuid::now_v7().simple());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let admin = open_postgres(&Secret::new(server.as_str()), 1, Duration::from_secs(20)).await.unwrap();
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
        admin.close().await.unwrap();
    });
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}
