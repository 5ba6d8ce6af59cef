//! Reads what the sample connector's witness wrote, and compares it with what the system says.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

/// All runs of one job, as they happened.
#[derive(Debug, Default)]
pub struct Story {
    pub runs: Vec<Run>,
    /// Runs that found another one alive.
    pub overlaps: usize,
}

/// One run of a connector.
#[derive(Debug)]
pub struct Run {
    /// The state it began with.
    pub state: Option<String>,
    pub batches: Vec<Batch>,
    /// The numbers of its log lines.
    pub lines: Vec<u64>,
    /// Its exit code; none if it was killed.
    pub end: Option<u64>,
    /// When it ended, in milliseconds since 1970.
    pub ended_at: Option<i64>,
}

/// A batch that is in the destination, and whose state was written.
#[derive(Debug)]
pub struct Batch {
    pub first: i64,
    pub last: i64,
    pub state: String,
}

impl Story {
    /// The story of a key. Empty if nothing has begun.
    pub fn read(folder: &Path, key: &str) -> Self {
        let text = fs::read_to_string(folder.join(format!("{key}.witness"))).unwrap_or_default();
        let mut story = Self::default();
        for line in text.lines() {
            // The last line may be read while it is written.
            let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
            story.take(&entry);
        }
        story
    }

    fn take(&mut self, entry: &Value) {
        let number = |key: &str| entry[key].as_i64().unwrap();
        let text = |key: &str| entry[key].as_str().map(str::to_owned);
        match entry["event"].as_str().unwrap() {
            "overlap" => self.overlaps += 1,
            "start" => {
                self.runs.push(Run {
                    state: text("state"),
                    batches: Vec::new(),
                    lines: Vec::new(),
                    end: None,
                    ended_at: None,
                });
            }
            event => {
                let run = self.runs.last_mut().unwrap();
                match event {
                    "batch" => run.batches.push(Batch {
                        first: number("first"),
                        last: number("last"),
                        state: text("state").unwrap(),
                    }),
                    "line" => run.lines.push(entry["line"].as_u64().unwrap()),
                    "end" => {
                        run.end = entry["code"].as_u64();
                        run.ended_at = entry["at"].as_i64();
                    }
                    other => panic!("an event that is not known: {other}"),
                }
            }
        }
    }

    /// How many batches there are, over all runs.
    pub fn batches(&self) -> usize {
        self.runs.iter().map(|run| run.batches.len()).sum()
    }

    /// What is wrong with it, in words: rows up to `rows` that were never written, two runs at once, a run that began
    /// behind what an earlier one had acknowledged, a stored state that is behind the last batch, log lines that the
    /// system lost or has twice.
    pub fn faults(&self, rows: i64, stored_state: Option<&str>, stored_lines: &[String]) -> Vec<String> {
        let mut faults = Vec::new();
        if self.overlaps > 0 {
            faults.push(format!("{} runs began beside a living one", self.overlaps));
        }
        let batches: Vec<&Batch> = self.runs.iter().flat_map(|run| &run.batches).collect();
        for row in 1..=rows {
            if !batches.iter().any(|batch| (batch.first..=batch.last).contains(&row)) {
                faults.push(format!("row {row} was never written"));
                break;
            }
        }
        let mut acknowledged = 0;
        for (number, run) in self.runs.iter().enumerate() {
            let begun = run.state.as_deref().map_or(0, position);
            if begun < acknowledged {
                faults.push(format!("run {} began at {begun}, behind {acknowledged}", number + 1));
            }
            for batch in &run.batches {
                assert_eq!(position(&batch.state), batch.last, "the witness itself is wrong");
                acknowledged = acknowledged.max(batch.last);
            }
        }
        let stored = stored_state.map_or(0, position);
        if stored < acknowledged {
            faults.push(format!("the stored state is {stored}, behind {acknowledged}"));
        }
        faults.extend(self.faults_of_lines(stored_lines));
        faults
    }

    fn faults_of_lines(&self, stored: &[String]) -> Vec<String> {
        let mut found: BTreeMap<u64, usize> = BTreeMap::new();
        let numbers = stored.iter().filter_map(|line| line.strip_prefix("line ")?.parse().ok());
        numbers.for_each(|number| *found.entry(number).or_default() += 1);
        let mut faults = Vec::new();
        for run in &self.runs {
            for (at, line) in run.lines.iter().enumerate() {
                // Announced, and perhaps not said any more.
                let is_certain = at + 1 < run.lines.len() || run.end.is_some();
                match found.remove(line).unwrap_or(0) {
                    0 if is_certain => faults.push(format!("line {line} is missing")),
                    0 | 1 => {}
                    times => faults.push(format!("line {line} is there {times} times")),
                }
            }
        }
        faults.extend(found.keys().map(|line| format!("line {line} was never said")));
        faults
    }
}

/// How far a state says that its stream has come.
fn position(state: &str) -> i64 {
    let state: Value = serde_json::from_str(state).unwrap();
    state["streams"][0]["state"]["id"].as_i64().unwrap_or(0)
}
