//! A proxy between the API and its database, which a test breaks and restores.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Forwards connections while it is whole.
pub struct Proxy {
    address: SocketAddr,
    whole: Arc<AtomicBool>,
    breaks: watch::Sender<u64>,
}

impl Proxy {
    /// A proxy to `host:port`.
    pub async fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (breaks, broken) = watch::channel(0);
        let proxy = Self { address, whole: Arc::new(AtomicBool::new(true)), breaks };
        tokio::spawn(accept(listener, target.to_owned(), Arc::clone(&proxy.whole), broken));
        proxy
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections and takes no more.
    pub fn break_down(&self) {
        self.whole.store(false, Ordering::SeqCst);
        self.breaks.send_modify(|count| *count += 1);
    }

    /// Takes connections again.
    pub fn restore(&self) {
        self.whole.store(true, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, target: String, whole: Arc<AtomicBool>, broken: watch::Receiver<u64>) {
    while let Ok((mut near, _)) = listener.accept().await {
        if !whole.load(Ordering::SeqCst) {
            continue;
        }
        let (target, mut broken) = (target.clone(), broken.clone());
        broken.mark_unchanged();
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(&target).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = broken.changed() => {}
            }
        });
    }
}
