//! Tags of images and news of releases, from a server to the database.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod server;
#[path = "../notifications/stage.rs"]
mod stage;

use std::time::Duration;

use olake_shared::{
    config::{RegistryConfig, ReleasesConfig, Secret},
    domain::release::Product,
    store::connections::Side,
};
use olake_worker::{
    reconcile::Elsewhere,
    registry::{Registry, RegistryError},
};
use server::{Asks, Server};
use stage::Stage;
use url::Url;

fn config(server: &Server, account: Option<(&str, &str)>) -> RegistryConfig {
    RegistryConfig {
        url: Some(server.url().parse().unwrap()),
        repository: "olakego/source-{type}".to_owned(),
        username: account.map(|(name, _)| name.to_owned()).unwrap_or_default(),
        password: account.map(|(_, password)| Secret::new(password)),
        refresh: Duration::from_secs(3_600),
    }
}

async fn versions(config: &RegistryConfig, kind: &str) -> Result<Vec<String>, RegistryError> {
    let versions = Registry::of(config).unwrap().versions(kind).await?;
    Ok(versions.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn tags_are_read_page_by_page_whatever_the_registry_asks_for() {
    let right = Some(("reader", "s3cret"));
    for (asks, account) in
        [(Asks::Nothing, None), (Asks::AnonymousToken, None), (Asks::Basic, right), (Asks::Token, right)]
    {
        let server = Server::start(asks).await;
        let config = config(&server, account);
        assert_eq!(versions(&config, "postgres").await.unwrap(), ["v0.9.4", "v0.10.0", "v0.2.1"], "{asks:?}");
        let tokens = server.requests().iter().filter(|request| request.path.starts_with("/token")).count();
        assert_eq!(
            tokens,
            usize::from(matches!(asks, Asks::Token | Asks::AnonymousToken)),
            "{asks:?}: one token for all pages"
        );
        for none in ["mysql", "oracle"] {
            assert_eq!(versions(&config, none).await.unwrap(), Vec::<String>::new(), "{asks:?}");
        }
    }
}

#[tokio::test]
async fn a_registry_that_refuses_the_account_is_told_without_it() {
    for asks in [Asks::Basic, Asks::Token] {
        let server = Server::start(asks).await;
        for account in [None, Some(("reader", "hunter22"))] {
            let error = versions(&config(&server, account), "postgres").await.unwrap_err();
            assert!(matches!(error, RegistryError::Refused), "{asks:?} {account:?}: {error}");
            assert!(!format!("{error:?}").contains("hunter22"));
        }
    }
}

#[tokio::test]
async fn odd_answers_are_errors_and_send_no_account_elsewhere() {
    let server = Server::start(Asks::TokenElsewhere).await;
    let error = versions(&config(&server, Some(("reader", "s3cret"))), "postgres").await.unwrap_err();
    assert!(matches!(error, RegistryError::Elsewhere(_)), "{error}");
    assert!(server.requests().iter().all(|request| request.authorization.is_none()));
    let server = Server::start(Asks::Nothing).await;
    let with =
        |repository: &str| RegistryConfig { repository: repository.to_owned(), ..config(&server, None) };
    assert!(matches!(versions(&with("circle/{type}"), "postgres").await, Err(RegistryError::Endless)));
    assert!(matches!(versions(&with("page/{type}"), "postgres").await, Err(RegistryError::Form(_))));
    server.break_down();
    assert!(matches!(versions(&with("page/{type}"), "postgres").await, Err(RegistryError::Status { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_workers_reads_tags_and_news_once() {
    let server = Server::start(Asks::AnonymousToken).await;
    let feed: Url = format!("{}/feed", server.url()).parse().unwrap();
    let stage = Stage::new().await;
    for _ in 0..3 {
        stage.start_worker_with(Elsewhere {
            registry: Some(config(&server, None)),
            releases: Some(ReleasesConfig {
                feed_url: Some(feed.clone()),
                refresh: Duration::from_secs(3_600),
            }),
        });
    }
    let store = stage.store();
    let read = async {
        loop {
            let news = store.releases(Product::Olake, 10).await.unwrap();
            let versions = store.versions(Side::Source, "postgres").await.unwrap();
            if let ([release], false) = (news.as_slice(), versions.is_empty()) {
                return (release.version.clone(), versions);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (release, versions) = tokio::time::timeout(Duration::from_secs(30), read).await.unwrap();
    assert_eq!(release, "v0.10.0");
    assert_eq!(versions.iter().map(ToString::to_string).collect::<Vec<_>>(), ["v0.10.0", "v0.9.4", "v0.2.1"]);
    let asked =
        |path: &str| server.requests().iter().filter(|request| request.path.starts_with(path)).count();
    assert_eq!(asked("/feed"), 1);
    assert_eq!(asked("/v2/olakego/source-postgres/tags/list?page=2"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_last_holds_while_the_registry_is_down() {
    let server = Server::start(Asks::Nothing).await;
    server.break_down();
    let stage = Stage::new().await;
    let found = [("postgres".to_owned(), vec!["v0.8.0".parse().unwrap()])];
    stage.store().queue().set_image_tags(&found.into()).await.unwrap();
    stage.start_worker_with(Elsewhere { registry: Some(config(&server, None)), releases: None });
    let failed = async {
        while server.requests().len() < olake_shared::domain::connectors::SOURCES.len() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), failed).await.unwrap();
    let versions = stage.store().versions(Side::Source, "postgres").await.unwrap();
    assert_eq!(versions.iter().map(ToString::to_string).collect::<Vec<_>>(), ["v0.8.0"]);
}
