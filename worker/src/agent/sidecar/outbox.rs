//! What waits to be told to the workers while the connector runs.
//!
//! Invariants: of states and statistics the newest is told, at once and in order; lines are told in order, and are held
//! until they are known to be stored; no more than about [`ROOM`] bytes of them are held: the rest stays in the
//! connector's file.

use std::{
    borrow::Cow,
    collections::VecDeque,
    time::{Duration, Instant},
};

use olake_shared::store::logs::LogLine;

use crate::{
    agent::follow::Progress,
    connector::{output, state::Stats},
    internal::wire::Push,
    reconcile::redact::Redactor,
};

/// Lines are held until there are so many bytes of them.
const ROOM: usize = 512 * 1024;

/// With so many bytes, lines are told at once.
const FULL: usize = 256 * 1024;

/// Between two pushes of lines or statistics alone.
const EVERY: Duration = Duration::from_millis(500);

/// One push holds about so many bytes of lines.
const PUSH_BYTES: usize = 512 * 1024;

/// A state beyond this goes without lines, in bytes.
const LARGE_STATE: usize = 1 << 20;

/// What a line takes beside its message, in bytes.
const LINE_BYTES: usize = 96;

/// How many different gaps are told.
const GAPS_AT_MOST: usize = 20;

/// See the module.
#[derive(Default)]
pub struct Outbox {
    state: Option<String>,
    has_new_state: bool,
    stats: Option<Stats>,
    has_new_stats: bool,
    lines: VecDeque<LogLine>,
    /// The number of the first of `lines` in the attempt.
    first: u64,
    bytes: usize,
    gaps: Vec<String>,
    gaps_told: usize,
    /// What a push on its way carries.
    carried: Carried,
    pushed_at: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
struct Carried {
    state: bool,
    stats: bool,
    gaps: usize,
}

impl Outbox {
    /// Takes what is new. Lines lose the secrets in them; those that are known to be stored are left out.
    pub fn take(&mut self, progress: Progress, redactor: &Redactor) {
        if let Some(state) = progress.state {
            self.state = Some(state.into_string());
            self.has_new_state = true;
        }
        if progress.stats.is_some() {
            self.stats = progress.stats;
            self.has_new_stats = true;
        }
        for error in progress.errors {
            self.tell_gap(error.to_string());
        }
        for (number, line) in (progress.first_line..).zip(progress.log) {
            if number >= self.first + self.lines.len() as u64 {
                self.add(line, redactor);
            }
        }
    }

    fn add(&mut self, line: output::LogLine, redactor: &Redactor) {
        let message = redactor.clean(&line.message).into_owned();
        self.bytes += message.len() + LINE_BYTES;
        self.lines.push_back(LogLine { level: line.level.as_str().to_owned(), time: line.time, message });
    }

    /// Notes what could not be read or told, once.
    pub fn tell_gap(&mut self, gap: String) {
        if self.gaps.len() < GAPS_AT_MOST && !self.gaps.contains(&gap) {
            self.gaps.push(gap);
        }
    }

    /// Whether more lines may come.
    pub fn has_room(&self) -> bool {
        self.bytes < ROOM
    }

    /// Whether everything is told.
    pub fn is_empty(&self) -> bool {
        !self.has_new_state && !self.has_new_stats && self.lines.is_empty()
    }

    /// When the next push is due; None: there is nothing to tell.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        if self.has_new_state || self.bytes >= FULL {
            return Some(now);
        }
        let has_any = self.has_new_stats || !self.lines.is_empty();
        has_any.then(|| self.pushed_at.map_or(now, |at| at + EVERY))
    }

    /// The body of a push of what waits. Its outcome is to be told: [`Self::stored`] or [`Self::failed`].
    ///
    /// # Errors
    /// Never in practice: everything in it can be written.
    pub fn push(
        &mut self,
        incarnation: i64,
        sequence: i64,
        now: Instant,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let state = self.state.as_deref().filter(|_| self.has_new_state);
        let is_large = state.is_some_and(|state| state.len() > LARGE_STATE);
        let count = if is_large { 0 } else { self.lines_of_a_push() };
        let lines = self.lines.make_contiguous().get(..count).unwrap_or_default();
        let body = serde_json::to_vec(&Push {
            incarnation,
            sequence,
            state: state.map(Cow::Borrowed),
            stats: self.stats.clone().filter(|_| self.has_new_stats),
            first_line: i64::try_from(self.first).unwrap_or(i64::MAX),
            lines: Cow::Borrowed(lines),
            gaps: Cow::Borrowed(self.gaps.get(self.gaps_told..).unwrap_or_default()),
        })?;
        self.carried =
            Carried { state: self.has_new_state, stats: self.has_new_stats, gaps: self.gaps.len() };
        (self.has_new_state, self.has_new_stats) = (false, false);
        self.pushed_at = Some(now);
        Ok(body)
    }

    fn lines_of_a_push(&self) -> usize {
        let mut bytes = 0;
        let fits = |line: &&LogLine| {
            let before = bytes;
            bytes += line.message.len() + LINE_BYTES;
            before == 0 || bytes <= PUSH_BYTES
        };
        self.lines.iter().take_while(fits).count()
    }

    /// The push was stored, and with it this attempt has so many lines.
    pub fn stored(&mut self, lines: u64) {
        self.gaps_told = self.carried.gaps;
        self.carried = Carried::default();
        self.forget_below(lines);
    }

    /// The push was not stored: what it carried waits again.
    pub fn failed(&mut self) {
        let carried = std::mem::take(&mut self.carried);
        self.has_new_state |= carried.state;
        self.has_new_stats |= carried.stats;
    }

    /// The push was too large for the workers. True: that was its state, which is told as a gap from now on.
    pub fn was_too_large(&mut self) -> bool {
        let carried = std::mem::take(&mut self.carried);
        self.has_new_stats |= carried.stats;
        if carried.state {
            let bytes = self.state.as_ref().map_or(0, String::len);
            self.tell_gap(format!(
                "a state of {bytes} bytes is too large to be told while the connector runs"
            ));
        }
        carried.state
    }

    /// Lines below this number are stored.
    pub fn forget_below(&mut self, number: u64) {
        while self.first < number
            && let Some(line) = self.lines.pop_front()
        {
            self.bytes -= line.message.len() + LINE_BYTES;
            self.first += 1;
        }
        self.first = self.first.max(number);
    }

    /// The newest state.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The newest statistics.
    pub fn stats(&self) -> Option<&Stats> {
        self.stats.as_ref()
    }

    /// What could not be read or told, as far as no push has told it.
    pub fn untold_gaps(&self) -> &[String] {
        self.gaps.get(self.gaps_told..).unwrap_or_default()
    }

    /// The lines that wait, and the number of the first one.
    pub fn lines(&self) -> (u64, &VecDeque<LogLine>) {
        (self.first, &self.lines)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::connector::{output::Level, state::parse_state};

    fn progress(first_line: u64, messages: &[&str]) -> Progress {
        let line = |message: &&str| output::LogLine {
            level: Level::Info,
            time: DateTime::UNIX_EPOCH,
            message: (*message).to_owned(),
            json: None,
        };
        Progress { first_line, log: messages.iter().map(line).collect(), ..Progress::default() }
    }

    fn state(text: &str) -> Progress {
        Progress { state: parse_state(text.as_bytes()), ..Progress::default() }
    }

    fn pushed(outbox: &mut Outbox) -> Push<'static> {
        serde_json::from_slice(&outbox.push(1, 1, Instant::now()).unwrap()).unwrap()
    }

    fn messages(push: &Push<'_>) -> Vec<String> {
        push.lines.iter().map(|line| line.message.clone()).collect()
    }

    #[test]
    fn what_a_failed_push_carried_is_told_again_and_a_newer_state_takes_its_place() {
        let (mut outbox, redactor) = (Outbox::default(), Redactor::default());
        outbox.take(state(r#"{"at":1}"#), &redactor);
        outbox.take(progress(0, &["a", "b"]), &redactor);
        let first = pushed(&mut outbox);
        assert_eq!(
            (first.state.as_deref(), messages(&first)),
            (Some(r#"{"at":1}"#), vec!["a".into(), "b".into()])
        );
        outbox.take(state(r#"{"at":2}"#), &redactor);
        outbox.failed();
        let second = pushed(&mut outbox);
        assert_eq!((second.state.as_deref(), messages(&second).len()), (Some(r#"{"at":2}"#), 2));
        // It was stored, and the server had one line more than this agent knew of.
        outbox.stored(3);
        outbox.take(progress(2, &["c", "d"]), &redactor);
        let third = pushed(&mut outbox);
        assert_eq!((third.state.as_deref(), third.first_line, messages(&third)), (None, 3, vec!["d".into()]));
    }

    #[test]
    fn lines_that_an_earlier_start_has_told_are_left_out() {
        let (mut outbox, redactor) = (Outbox::default(), Redactor::default());
        outbox.forget_below(3);
        outbox.take(progress(0, &["a", "b"]), &redactor);
        assert!(outbox.is_empty());
        outbox.take(progress(2, &["c", "d", "e"]), &redactor);
        let push = pushed(&mut outbox);
        assert_eq!((push.first_line, messages(&push)), (3, vec!["d".to_owned(), "e".to_owned()]));
    }

    #[test]
    fn secrets_are_masked_and_there_is_room_until_enough_waits() {
        let redactor = Redactor::of_forms(vec!["hunter22".to_owned()]);
        let mut outbox = Outbox::default();
        outbox.take(progress(0, &["login with hunter22"]), &redactor);
        assert_eq!(messages(&pushed(&mut outbox)), ["login with ********"]);
        let long = "x".repeat(300_000);
        outbox.take(progress(1, &[&long, &long]), &redactor);
        assert!(!outbox.has_room());
        // One push holds what fits; a line that is longer than that goes alone.
        assert_eq!(pushed(&mut outbox).lines.len(), 2);
        outbox.stored(2);
        assert!(outbox.has_room());
    }

    #[test]
    fn states_are_due_at_once_and_lines_from_time_to_time() {
        let (mut outbox, redactor) = (Outbox::default(), Redactor::default());
        let now = Instant::now();
        assert_eq!(outbox.due(now), None);
        outbox.take(progress(0, &["a"]), &redactor);
        assert_eq!(outbox.due(now), Some(now));
        let _ = pushed(&mut outbox);
        outbox.stored(1);
        outbox.take(progress(1, &["b"]), &redactor);
        assert!(outbox.due(now).unwrap() > now);
        outbox.take(state(r#"{"at":1}"#), &redactor);
        assert_eq!(outbox.due(now), Some(now));
    }

    #[test]
    fn a_state_that_is_too_large_is_a_gap_and_lines_go_on() {
        let (mut outbox, redactor) = (Outbox::default(), Redactor::default());
        outbox.take(state(&format!(r#"{{"at":"{}"}}"#, "x".repeat(LARGE_STATE))), &redactor);
        outbox.take(progress(0, &["a"]), &redactor);
        let push = pushed(&mut outbox);
        assert!(push.state.is_some() && push.lines.is_empty());
        assert!(outbox.was_too_large());
        let push = pushed(&mut outbox);
        assert_eq!((push.state.is_none(), push.lines.len(), push.gaps.len()), (true, 1, 1));
        assert_eq!(outbox.untold_gaps().len(), 1, "until it is stored");
        outbox.stored(1);
        assert_eq!(outbox.untold_gaps().len(), 0, "the record at the end does not tell it again");
        assert!(outbox.state().is_some(), "the record at the end may hold it");
    }
}
