//! stats.json: how a sync goes, rewritten every two seconds. Memory and processor are the machine's, not the
//! process's.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Time between two writes.
const EVERY: Duration = Duration::from_secs(2);

/// How often the end of the sync is looked for in between.
const POLL: Duration = Duration::from_millis(20);

/// What a sync has done so far.
pub struct Progress {
    begin: Instant,
    rows: AtomicU64,
    bytes: AtomicU64,
    expected: AtomicU64,
}

impl Progress {
    pub fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self { begin: Instant::now(), rows: zero(), bytes: zero(), expected: zero() }
    }

    /// Rows that are to come were found.
    pub fn expect(&self, rows: u64) {
        self.expected.fetch_add(rows, Ordering::SeqCst);
    }

    /// Rows were read and written.
    pub fn add(&self, rows: u64, bytes: u64) {
        self.rows.fetch_add(rows, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::SeqCst)
    }

    /// The last line of a sync that went well.
    pub fn total(&self) -> String {
        let bytes = self.bytes.load(Ordering::SeqCst);
        format!("Total records read: {} | Total bytes read: {}", self.rows(), size(bytes))
    }

    /// Writes the file every two seconds until `done`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn report(&self, file: &Path, done: &dyn Fn() -> bool) -> Result<()> {
        let mut processor = Processor::default();
        let mut due = self.begin + EVERY;
        while !done() {
            if Instant::now() >= due {
                due += EVERY;
                self.write(file, processor.busy())?;
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Writes the file with the last numbers.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_last(&self, file: &Path) -> Result<()> {
        self.write(file, Processor::default().busy())
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows for a person to read")]
    fn write(&self, file: &Path, busy: f64) -> Result<()> {
        let seconds = self.begin.elapsed().as_secs_f64();
        let rows = self.rows();
        let speed = if seconds > 0.0 { rows as f64 / seconds } else { 0.0 };
        let left = self.expected.load(Ordering::SeqCst).saturating_sub(rows) as f64;
        let remaining =
            if speed > 0.0 { format!("{:.2} s", left / speed) } else { "Not Determined".to_owned() };
        let stats: Value = json!({
            "Bytes Read": self.bytes.load(Ordering::SeqCst),
            "CPU Utilization": (busy * 100.0).round() / 100.0,
            "Estimated Remaining Time": remaining,
            "Memory Usage Bytes": memory_used().unwrap_or(0),
            "Seconds Elapsed": format!("{seconds:.2}"),
            "Speed": format!("{speed:.2} rps"),
            "Synced Records": rows,
            "Writer Threads": 1,
        });
        std::fs::write(file, stats.to_string())
            .with_context(|| format!("failed to write stats file[{}]", file.display()))
    }
}

/// A number of bytes as the last line shows it.
#[expect(clippy::cast_precision_loss, reason = "a size for a person to read")]
fn size(bytes: u64) -> String {
    let mut left = bytes as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if left < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{left:.2} {unit}") };
        }
        left /= 1024.0;
    }
    format!("{left:.2} TB")
}

/// The machine's memory in use, in bytes.
fn memory_used() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = |key: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(kilobytes("MemTotal:")?.saturating_sub(kilobytes("MemAvailable:")?) * 1024)
}

/// The share of the machine's processor time that is in use.
#[derive(Default)]
struct Processor {
    busy: u64,
    total: u64,
}

impl Processor {
    /// The share since it was last asked (at first: since the machine's start), 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share for a person to read")]
    fn busy(&mut self) -> f64 {
        let Some((busy, total)) = Self::read() else { return 0.0 };
        let (busy_now, total_now) = (busy.saturating_sub(self.busy), total.saturating_sub(self.total));
        (self.busy, self.total) = (busy, total);
        if total_now == 0 { 0.0 } else { busy_now as f64 / total_now as f64 }
    }

    fn read() -> Option<(u64, u64)> {
        let text = std::fs::read_to_string("/proc/stat").ok()?;
        let numbers = text.lines().next()?.split_whitespace().skip(1).map(|word| word.parse::<u64>().ok());
        let numbers = numbers.collect::<Option<Vec<_>>>()?;
        let total: u64 = numbers.iter().take(8).sum();
        let idle: u64 = numbers.iter().skip(3).take(2).sum();
        Some((total.saturating_sub(idle), total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_the_real_connectors_print_them() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (3072, "3.00 KB"), (2_849_800, "2.72 MB"), (5 << 40, "5.00 TB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
