//! A receiver of notifications: a small HTTP server that answers as a test says.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// What came to the receiver.
#[derive(Clone, Debug)]
pub struct Received {
    pub line: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
    /// What was answered.
    pub answer: Reply,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn id(&self) -> &str {
        &self.headers["x-olake-delivery"]
    }
}

/// How a request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Code(u16),
    Redirect(String),
    /// Never, and the connection stays open.
    Silence,
    /// 200, and a body without end.
    Endless,
}

/// Answers the n-th request (from 0).
type Answer = dyn Fn(usize) -> Reply + Send + Sync;

pub struct Receiver {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    pub async fn start(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, received) = (listener.local_addr().unwrap(), Arc::default());
        tokio::spawn(accept(listener, Arc::new(answer), Arc::clone(&received)));
        Self { address, received }
    }

    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook?room=5", self.address)
    }
}

async fn accept(listener: TcpListener, answer: Arc<Answer>, received: Arc<Mutex<Vec<Received>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (answer, received) = (Arc::clone(&answer), Arc::clone(&received));
        tokio::spawn(async move {
            // A caller that goes away is what some tests are about.
            let _ = serve(stream, &*answer, &received).await;
        });
    }
}

async fn serve(stream: TcpStream, answer: &Answer, received: &Mutex<Vec<Received>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut headers = HashMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let answer = {
        let mut received = received.lock().unwrap();
        let answer = answer(received.len());
        let (line, body) = (line.trim_end().to_owned(), String::from_utf8(body).unwrap());
        received.push(Received { line, headers, body, answer: answer.clone() });
        answer
    };
    match answer {
        Reply::Code(code) => {
            stream.write_all(format!("HTTP/1.1 {code} X\r\ncontent-length: 2\r\n\r\nok").as_bytes()).await
        }
        Reply::Redirect(to) => {
            let head = format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await
        }
        Reply::Silence => std::future::pending().await,
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            loop {
                stream.write_all(&[b'x'; 1024]).await?;
            }
        }
    }
}
