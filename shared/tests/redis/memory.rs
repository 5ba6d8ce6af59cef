//! The memory that bells take in Redis, while a worker hears them: what was heard is removed, so that it does not grow with
//! their number.
//!
//! `make bench` runs the big measurement, whose numbers are in deploy/bench/RESULTS.md.

use std::time::{Duration, Instant};

use olake_shared::{bell::Bell, domain::task::PlaceClass};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{listener, server::Server};

/// Bells that are rung before it is looked whether they were heard: well below what may wait, so that none is left out.
const AT_ONCE: usize = 500;

/// Longer than what was heard stays before it is removed (30 s).
const TRIMMED_WITHIN: Duration = Duration::from_secs(60);

/// More than the rest that differs from look to look: buffers of connections, a few bells.
const SLACK_BYTES: u64 = 512 * 1024;

/// What Redis uses, in bytes.
async fn used_memory(server: &Server) -> u64 {
    number_in(server, "memory", "used_memory:").await
}

/// How many bells were ever put into a queue: apalis does so once for each.
async fn pushed(server: &Server) -> u64 {
    number_in(server, "commandstats", "cmdstat_hsetnx:calls=").await
}

async fn number_in(server: &Server, section: &str, before: &str) -> u64 {
    let mut connection = server.client().get_multiplexed_async_connection().await.unwrap();
    let text: String = redis::cmd("INFO").arg(section).query_async(&mut connection).await.unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix(before));
    let digits = found.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
    digits.map_or(0, |digits| digits.parse().unwrap())
}

/// A worker that hears bells, and who rings them.
struct Ringing {
    server: Server,
    bell: Bell,
    stop: CancellationToken,
    peak: u64,
    /// While this lives, there is a free place.
    _free: watch::Sender<bool>,
}

impl Ringing {
    async fn start() -> Self {
        let server = Server::start().await;
        let stop = CancellationToken::new();
        let bell = Bell::redis(server.client(), &stop).unwrap();
        let (free, is_free) = watch::channel(true);
        listener(&bell, is_free, &stop).await;
        Self { server, bell, stop, peak: 0, _free: free }
    }

    /// Rings so many bells, and waits until they were heard.
    async fn ring(&mut self, number: usize) {
        let before = pushed(&self.server).await;
        for part in 1..=number / AT_ONCE {
            for _ in 0..AT_ONCE {
                self.bell.ring(PlaceClass::Sync, Uuid::now_v7());
            }
            let wanted = before + (part * AT_ONCE) as u64;
            self.until("the bells to be heard", Duration::from_secs(60), async |ringing| {
                let gauges = ringing.bell.gauges(PlaceClass::Sync).await.unwrap();
                gauges.waiting == 0 && pushed(&ringing.server).await >= wanted
            })
            .await;
            self.peak = self.peak.max(used_memory(&self.server).await);
        }
    }

    /// Waits until what was heard is removed.
    async fn trimmed(&mut self) {
        self.until("what was heard to be removed", TRIMMED_WITHIN, async |ringing| {
            let gauges = ringing.bell.gauges(PlaceClass::Sync).await.unwrap();
            gauges.waiting + gauges.done == 0
        })
        .await;
    }

    async fn until(&mut self, what: &str, patience: Duration, mut is_so: impl AsyncFnMut(&Self) -> bool) {
        let wait = async {
            while !is_so(self).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(patience, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_uses_no_more_memory_after_five_thousand_bells_than_before() {
    let mut ringing = Ringing::start().await;
    // Whatever a first round leaves for good: tables, buffers.
    ringing.ring(AT_ONCE).await;
    ringing.trimmed().await;
    let before = used_memory(&ringing.server).await;
    ringing.ring(5_000).await;
    assert!(ringing.peak > before, "it has taken something");
    ringing.trimmed().await;
    let after = used_memory(&ringing.server).await;
    assert!(after <= before + SLACK_BYTES, "{before} bytes before, {} at most, {after} after", ringing.peak);
    ringing.stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement of some minutes: make bench"]
#[allow(clippy::print_stdout, reason = "it is what the measurement is for")]
async fn redis_memory_over_a_hundred_thousand_bells() {
    const BELLS: usize = 100_000;
    let mut ringing = Ringing::start().await;
    ringing.ring(AT_ONCE).await;
    ringing.trimmed().await;
    let before = used_memory(&ringing.server).await;
    let begin = Instant::now();
    ringing.ring(BELLS).await;
    let seconds = begin.elapsed().as_secs_f64();
    ringing.trimmed().await;
    let after = used_memory(&ringing.server).await;
    let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "Redis over {BELLS} bells, heard by one worker in {seconds:.0} s, used_memory in MB: before {:.2}, at most {:.2}, \
         after {:.2}",
        mb(before),
        mb(ringing.peak),
        mb(after)
    );
    assert!(after <= before + SLACK_BYTES, "it grows with the number of bells");
    ringing.stop.cancel();
}
