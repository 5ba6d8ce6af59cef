//! The server on real sockets: listening, answering, stopping.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::time::{Duration, Instant};

use olake_api::{Context, first_admin, server};
use olake_shared::{
    config::{Listen, Secret},
    crypto::password,
};
use support::{Setup, TestApp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn read_answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(br#"{"status":"ok"}"#) {
        let mut part = [0; 1024];
        let count = stream.read(&mut part).await.unwrap();
        assert!(count > 0, "the connection ended: {}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&part[..count]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_on_each_loopback_address_and_stops_in_time_with_a_client_still_connected() {
    let app = TestApp::sqlite_with(Setup::default()).await;
    let context: Context = app.context.clone();
    let listen: Listen = "localhost:0".parse().unwrap();
    let bound = server::bind(listen).await.unwrap();
    let addresses = bound.addresses().to_vec();
    let shutdown = context.shutdown.clone();
    let serving = tokio::spawn(bound.serve(context));

    let mut streams = Vec::new();
    for address in &addresses {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(HEALTH).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        streams.push(stream);
    }

    let start = Instant::now();
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), serving).await.expect("it stops in time").unwrap();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(TcpStream::connect(addresses[0]).await.is_err(), "it still takes connections");
}

#[tokio::test]
async fn the_first_administrator_is_made_once() {
    let app = TestApp::sqlite().await;
    let store = &app.context.store;
    assert!(
        !first_admin::ensure(store, "root", Secret::new("long enough")).await.unwrap(),
        "there was an account"
    );
    app.execute("DELETE FROM sessions").await;
    app.execute("DELETE FROM users").await;
    assert!(first_admin::ensure(store, "root", Secret::new("short")).await.is_err());
    assert!(first_admin::ensure(store, "root", Secret::new("long enough")).await.unwrap());
    assert!(!first_admin::ensure(store, "root", Secret::new("another one")).await.unwrap());
    let (user, hash) = store.user_by_name("root").await.unwrap().unwrap();
    assert!(user.is_admin);
    assert!(password::verify(&Secret::new("long enough"), &hash).unwrap());
}

/// What the server says to this text, until it closes the connection or has answered.
async fn said(address: std::net::SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let count = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..count]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_this_machine_answers_to_the_names_of_this_machine() {
    let settings = olake_api::context::Settings { loopback_only: true, ..Default::default() };
    let app = TestApp::sqlite_with(Setup { settings, ..Setup::default() }).await;
    let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, shutdown) = (bound.addresses()[0], app.context.shutdown.clone());
    let serving = tokio::spawn(bound.serve(app.context.clone()));

    for host in ["localhost", "127.0.0.1:8080", "[::1]:8080"] {
        let answer = said(address, &format!("GET /health HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    for path in ["/health", "/login", "/api/v1/project/olake/jobs"] {
        let answer =
            said(address, &format!("GET {path} HTTP/1.1\r\nHost: rebound.example:8080\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        assert!(answer.contains("Bad request: Host: "), "{path}: {answer}");
    }
    shutdown.cancel();
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_large_body_is_not_read() {
    let app = TestApp::sqlite().await;
    let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, shutdown) = (bound.addresses()[0], app.context.shutdown.clone());
    let serving = tokio::spawn(bound.serve(app.context.clone()));

    // The body never comes: the answer does not wait for it.
    let head = "POST /api/v1/project/olake/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                Content-Length: 60000000\r\n\r\n{";
    let answer = tokio::time::timeout(Duration::from_secs(8), said(address, head)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    shutdown.cancel();
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_cannot_be_read_is_answered_in_the_envelope() {
    let app = TestApp::sqlite().await;
    let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, shutdown) = (bound.addresses()[0], app.context.shutdown.clone());
    let serving = tokio::spawn(bound.serve(app.context.clone()));

    let many = (0..200).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let long = "a".repeat(70_000);
    let chunked = "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (request, status) in [
        ("rubbish\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/9.9\r\n\r\n".to_owned(), 400),
        ("GET /health HTTP/1.1\r\nno header\r\n\r\n".to_owned(), 400),
        (format!("GET /health HTTP/1.1\r\n{many}\r\n"), 431),
        (format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 414),
        (format!("{chunked}rubbish\r\n"), 400),
    ] {
        let answer = said(address, &request).await;
        let shown = &request[..request.len().min(60)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.to_ascii_lowercase().contains("\r\nx-request-id: "), "{shown}: {head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["success"], false, "{shown}: {body}");
        assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{shown}: {body}");
    }
    shutdown.cancel();
    serving.await.unwrap();
}
