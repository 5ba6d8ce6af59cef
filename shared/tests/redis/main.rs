//! The bell and the events over a real Redis, which the tests start, stop and flush.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod memory;
mod server;

use std::{sync::Arc, time::Duration};

use olake_shared::{
    bell::Bell,
    domain::{project::ProjectId, task::PlaceClass},
    events::{Event, Events, What},
};
use server::{PATIENCE, Server, until};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A listener that is known to hear: the bell that every backend gives itself at its start has been heard.
async fn listener(bell: &Bell, free: watch::Receiver<bool>, stop: &CancellationToken) -> Arc<Notify> {
    let rung = Arc::new(Notify::new());
    let (bell, heard, stop) = (bell.clone(), rung.clone(), stop.clone());
    tokio::spawn(async move { bell.listen(PlaceClass::Sync, free, heard, stop).await });
    timeout(PATIENCE, rung.notified()).await.unwrap();
    rung
}

/// Rings until it is heard; what one bell cannot do while a connection is being made again, the next one can.
async fn heard_again(bell: &Bell, rung: &Notify) {
    let hear = async {
        loop {
            bell.ring(PlaceClass::Sync, Uuid::now_v7());
            if timeout(Duration::from_millis(500), rung.notified()).await.is_ok() {
                return;
            }
        }
    };
    timeout(PATIENCE, hear).await.expect("the bell is never heard again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bell_is_heard_by_another_process_and_survives_flush_and_restart() {
    let mut server = Server::start().await;
    let stop = CancellationToken::new();
    let ringer = Bell::redis(server.client(), &stop).unwrap();
    let hearer = Bell::redis(server.client(), &stop).unwrap();
    let (_free, is_free) = watch::channel(true);
    let rung = listener(&hearer, is_free, &stop).await;
    heard_again(&ringer, &rung).await;
    server.command("FLUSHALL").await;
    heard_again(&ringer, &rung).await;
    server.restart().await;
    heard_again(&ringer, &rung).await;
    ringer.ping().await.unwrap();
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_a_free_place_fetches_no_bell() {
    let server = Server::start().await;
    let stop = CancellationToken::new();
    let bell = Bell::redis(server.client(), &stop).unwrap();
    let (free, is_free) = watch::channel(false);
    let rung = listener(&bell, is_free, &stop).await;
    bell.ring(PlaceClass::Sync, Uuid::now_v7());
    until(async || bell.gauges(PlaceClass::Sync).await.is_ok_and(|g| g.waiting == 1)).await;
    assert!(timeout(Duration::from_secs(1), rung.notified()).await.is_err(), "heard without a place");
    free.send_replace(true);
    timeout(PATIENCE, rung.notified()).await.unwrap();
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_bells_without_a_listener_stay_bounded_and_one_wakes_a_late_worker() {
    let server = Server::start().await;
    let stop = CancellationToken::new();
    let bell = Bell::redis(server.client(), &stop).unwrap();
    for n in 0..10_000 {
        bell.ring(PlaceClass::Sync, Uuid::now_v7());
        if n % 500 == 0 {
            tokio::task::yield_now().await;
        }
    }
    until(async || bell.gauges(PlaceClass::Sync).await.is_ok_and(|g| g.waiting >= 500)).await;
    assert!(bell.gauges(PlaceClass::Sync).await.unwrap().waiting <= 1024);
    let (_free, is_free) = watch::channel(true);
    let rung = listener(&bell, is_free, &stop).await;
    heard_again(&bell, &rung).await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ringing_while_redis_is_down_neither_waits_nor_fails() {
    let mut server = Server::start().await;
    let stop = CancellationToken::new();
    let bell = Bell::redis(server.client(), &stop).unwrap();
    server.kill();
    let start = std::time::Instant::now();
    for _ in 0..10_000 {
        bell.ring(PlaceClass::Interactive, Uuid::now_v7());
    }
    assert!(start.elapsed() < Duration::from_secs(2));
    assert!(bell.ping().await.is_err());
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_reach_other_processes_once_and_go_on_after_a_restart() {
    let mut server = Server::start().await;
    let stop = CancellationToken::new();
    let (here, there) = (Events::redis(server.client(), &stop), Events::redis(server.client(), &stop));
    let (mut own, mut other) = (here.subscribe(), there.subscribe());
    let event = |what| Event { task: Uuid::now_v7(), project: ProjectId::new("123"), job: Some(7), what };
    // Until the other side has subscribed, events are lost; that is what the slow look at the row is for.
    let mut round = async || {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let sent = event(What::CancelWish);
            here.publish(sent.clone());
            assert_eq!(own.recv().await.unwrap(), sent, "told here at once");
            match timeout(Duration::from_millis(300), other.recv()).await {
                Ok(Ok(got)) if got == sent => break,
                _ => assert!(tokio::time::Instant::now() < deadline, "never heard there"),
            }
        }
        assert!(own.try_recv().is_err(), "told twice here");
    };
    round().await;
    server.restart().await;
    round().await;
    stop.cancel();
}
