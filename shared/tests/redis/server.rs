//! A Redis server of a test's own.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::timeout;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A Redis server of the test's own.
pub struct Server {
    port: u16,
    folder: TempDir,
    process: Child,
}

impl Server {
    pub async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let process = Self::spawn(port, &folder);
        let server = Self { port, folder, process };
        server.wait().await;
        server
    }

    fn spawn(port: u16, folder: &TempDir) -> Child {
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is needed: run the tests by `make test`, which installs it")
    }

    async fn wait(&self) {
        until(async || {
            let Ok(mut connection) = self.client().get_multiplexed_async_connection().await else {
                return false;
            };
            redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
        })
        .await;
    }

    pub fn client(&self) -> redis::Client {
        redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub async fn restart(&mut self) {
        self.kill();
        self.process = Self::spawn(self.port, &self.folder);
        self.wait().await;
    }

    pub async fn command(&self, command: &str) -> redis::Value {
        let mut connection = self.client().get_multiplexed_async_connection().await.unwrap();
        redis::cmd(command).query_async(&mut connection).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until it is so.
pub async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it did not come about in time");
}
