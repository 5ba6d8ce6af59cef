//! A registry with the Docker registry HTTP API v2, its token server, and a feed of releases, in one small HTTP server.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// What the registry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    Nothing,
    Basic,
    /// A token, which its token server gives to the right account.
    Token,
    /// A token, which is given to everybody.
    AnonymousToken,
    /// A token of a server to which no account may be sent.
    TokenElsewhere,
}

/// What the server does.
pub struct Server {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    asks: Asks,
    address: SocketAddr,
    requests: Mutex<Vec<Request>>,
    /// Whether the server answers 500 to everything.
    broken: Mutex<bool>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub authorization: Option<String>,
}

/// `reader:s3cret`.
const ACCOUNT: &str = "Basic cmVhZGVyOnMzY3JldA==";

impl Server {
    pub async fn start(asks: Asks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { asks, address, requests: Mutex::default(), broken: Mutex::default() });
        let serving = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = serving.clone();
                tokio::spawn(async move {
                    let _ = serve(stream, &state).await;
                });
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    pub fn break_down(&self) {
        *self.state.broken.lock().unwrap() = true;
    }
}

async fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let mut authorization = None;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await?;
        match header.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                authorization = Some(value.to_owned());
            }
            Some(_) => {}
            None => break,
        }
    }
    state.requests.lock().unwrap().push(Request { path: path.clone(), authorization: authorization.clone() });
    let (status, headers, body) = match *state.broken.lock().unwrap() {
        true => (500, String::new(), "{}".to_owned()),
        false => answer(state, &path, authorization.as_deref()),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await
}

fn answer(state: &State, path: &str, authorization: Option<&str>) -> (u16, String, String) {
    if path.starts_with("/token?") {
        let is_right = authorization == Some(ACCOUNT) || state.asks == Asks::AnonymousToken;
        return match is_right && path.contains("service=the+registry") && path.contains("scope=repository%3A")
        {
            true => (200, String::new(), json!({"token": "a-token"}).to_string()),
            false => (401, String::new(), "{}".to_owned()),
        };
    }
    if path == "/feed" {
        let release = json!({"tag_name": "v0.10.0", "name": "Ten", "body": "new", "published_at": "2026-01-01T00:00:00Z"});
        return (200, String::new(), json!([release]).to_string());
    }
    let realm = match state.asks {
        Asks::TokenElsewhere => "ftp://elsewhere.example.org/token".to_owned(),
        _ => format!("http://{}/token", state.address),
    };
    let (wanted, challenge) = match state.asks {
        Asks::Nothing => (None, String::new()),
        Asks::Basic => (Some(ACCOUNT), "Basic realm=\"x\"".to_owned()),
        _ => (Some("Bearer a-token"), format!("Bearer realm=\"{realm}\",service=\"the registry\"")),
    };
    if wanted.is_some() && authorization != wanted {
        return (401, format!("www-authenticate: {challenge}\r\n"), "{}".to_owned());
    }
    let (repository, query) = path.split_once('?').unwrap_or((path, ""));
    let pages: [&[&str]; 3] = [&["latest", "v0.2.0", "v0.9.4"], &["v0.10.0", "v0.9.4-arm64"], &["v0.2.1"]];
    match repository {
        "/v2/olakego/source-postgres/tags/list" => {
            let page: usize = query.split_once("page=").map_or(0, |(_, page)| page.parse().unwrap());
            let next = match page {
                2 => String::new(),
                page => format!("link: <{repository}?page={}>; rel=\"next\"\r\n", page + 1),
            };
            (200, next, json!({"name": "x", "tags": pages[page]}).to_string())
        }
        "/v2/olakego/source-mysql/tags/list" => {
            (200, String::new(), json!({"name": "x", "tags": null}).to_string())
        }
        "/v2/circle/postgres/tags/list" => {
            (200, format!("link: <{repository}>; rel=\"next\"\r\n"), json!({"tags": []}).to_string())
        }
        "/v2/page/postgres/tags/list" => (200, String::new(), "<html>".to_owned()),
        _ => (404, String::new(), json!({"errors": [{"code": "NAME_UNKNOWN"}]}).to_string()),
    }
}
