//! What a connector has said of late, so that nothing of it goes into the log twice: the end of its console may hold the
//! same lines as its log file.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
};

/// More than the end of a console has, and than what a log file can be ahead of it at the end.
const REMEMBERED: usize = 2000;

/// The last lines, by their hashes.
#[derive(Default)]
pub struct Said(VecDeque<u64>);

impl Said {
    /// A message was said; it may have several lines.
    pub fn note(&mut self, message: &str) {
        for line in message.lines() {
            if self.0.len() == REMEMBERED {
                self.0.pop_front();
            }
            self.0.push_back(hash(line));
        }
    }

    /// Whether a line is among the last ones.
    pub fn has(&self, line: &str) -> bool {
        self.0.contains(&hash(line))
    }
}

fn hash(line: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    line.trim_end().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_known_until_many_more_were_said() {
        let mut said = Said::default();
        said.note("panic: no\ngoroutine 1");
        assert!(said.has("goroutine 1") && said.has("panic: no ") && !said.has("panic"));
        (0..REMEMBERED).for_each(|number| said.note(&format!("line {number}")));
        assert!(!said.has("goroutine 1") && said.has("line 0"));
    }
}
