//! A proxy between the processes and PostgreSQL, which a test breaks and restores.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Forwards connections while it is whole.
#[derive(Clone, Default)]
pub struct Proxy {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    broken: AtomicBool,
    stalled: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// The URL of `postgres://…@host:port/…` through this proxy.
    pub fn before(&self, url: &str) -> String {
        let (user, rest) = url.split_once('@').unwrap();
        let (target, database) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (inner, target) = (Arc::clone(&self.inner), target.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                inner.connect(near, &target);
            }
        });
        format!("{user}@127.0.0.1:{port}/{database}")
    }

    /// Ends all connections and takes no more.
    pub fn break_down(&self) {
        self.inner.broken.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Ends all connections, in the middle of whatever they say.
    pub fn cut(&self) {
        for connection in self.inner.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Takes what comes, and passes nothing on: a network that swallows everything.
    pub fn stall(&self) {
        self.inner.stalled.store(true, Ordering::SeqCst);
    }

    /// Forwards again.
    pub fn restore(&self) {
        self.inner.broken.store(false, Ordering::SeqCst);
        self.inner.stalled.store(false, Ordering::SeqCst);
    }
}

impl Inner {
    fn connect(self: &Arc<Self>, near: TcpStream, target: &str) {
        if self.broken.load(Ordering::SeqCst) {
            return;
        }
        let Ok(far) = TcpStream::connect(target) else { return };
        let pairs = [(&near, &far), (&far, &near)];
        for (from, to) in pairs {
            let (inner, from, to) = (Arc::clone(self), from.try_clone().unwrap(), to.try_clone().unwrap());
            thread::spawn(move || inner.pump(from, to));
        }
        self.connections.lock().unwrap().extend([near, far]);
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            while self.stalled.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(10));
            }
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
