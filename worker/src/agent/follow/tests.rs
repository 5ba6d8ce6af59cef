use std::{fs, io::Write, path::PathBuf};

use super::*;

fn started() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A connector's output folder under the hands of a test.
struct Attempt {
    folder: tempfile::TempDir,
    follower: FolderFollower,
}

impl Attempt {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let follower = FolderFollower::new(folder.path(), started());
        Self { folder, follower }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn logs(&self) -> PathBuf {
        self.path("logs/sync_2026-11-24_07-00-00")
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    fn log(&self, text: &str) {
        fs::create_dir_all(self.logs()).unwrap();
        append(&self.logs().join("olake.log"), text);
    }

    fn rotate(&self, stamp: &str) {
        fs::rename(self.logs().join("olake.log"), self.logs().join(format!("olake-{stamp}.log"))).unwrap();
    }

    fn compress(&self, stamp: &str) {
        self.write(&format!("logs/sync_2026-11-24_07-00-00/olake-{stamp}.log.gz"), "compressed");
        fs::remove_file(self.logs().join(format!("olake-{stamp}.log"))).unwrap();
    }

    fn pack(&self, stamp: &str) {
        let path = self.logs().join(format!("olake-{stamp}.log"));
        let packed = fs::File::create(self.logs().join(format!("olake-{stamp}.log.gz"))).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        std::io::copy(&mut fs::File::open(&path).unwrap(), &mut encoder).unwrap();
        encoder.finish().unwrap();
        fs::remove_file(path).unwrap();
    }

    fn poll(&mut self) -> Vec<String> {
        let progress = self.follower.poll();
        assert!(progress.errors.is_empty(), "{:?}", progress.errors);
        messages(&progress)
    }

    fn finish(&mut self) -> Vec<String> {
        let ending = self.follower.finish();
        assert!(ending.progress.errors.is_empty(), "{:?}", ending.progress.errors);
        messages(&ending.progress)
    }
}

fn append(path: &Path, text: &str) {
    let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn messages(progress: &Progress) -> Vec<String> {
    progress.log.iter().map(|line| line.message.clone()).collect()
}

fn record(message: &str) -> String {
    format!("{{\"level\":\"info\",\"time\":\"2026-11-24T07:00:00Z\",\"message\":\"{message}\"}}\n")
}

fn records(range: std::ops::Range<usize>) -> String {
    range.map(|number| record(&number.to_string())).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

fn printed(message: &str) -> Vec<u8> {
    format!("2026-11-24T07:00:00Z INFO {message}\n").into_bytes()
}

#[test]
fn an_empty_folder_is_followed_in_silence() {
    let mut attempt = Attempt::new();
    assert!(attempt.poll().is_empty());
    let ending = attempt.follower.finish();
    assert!(ending.progress.state.is_none() && ending.progress.stats.is_none());
    assert!(ending.streams.is_none() && ending.difference.is_none() && ending.console_tail.is_empty());
}

#[test]
fn a_state_is_given_out_when_it_changed_and_is_whole() {
    let mut attempt = Attempt::new();
    let state = |attempt: &mut Attempt| attempt.follower.poll().state.map(StateText::into_string);
    attempt.write("state.json", "");
    assert_eq!(state(&mut attempt), None);
    attempt.write("state.json", "{\"a\":1");
    assert_eq!(state(&mut attempt), None);
    attempt.write("state.json", "{\"a\":1}");
    assert_eq!(state(&mut attempt).as_deref(), Some("{\"a\":1}"));
    assert_eq!(state(&mut attempt), None);
    attempt.write("state.json", "{\"a\":2}");
    assert_eq!(state(&mut attempt).as_deref(), Some("{\"a\":2}"));
    attempt.write("state.json", "{\"a\":3");
    assert_eq!(attempt.follower.finish().progress.state, None);
}

#[test]
fn the_last_state_is_read_at_the_end_whatever_its_time_says() {
    let mut attempt = Attempt::new();
    let write = |attempt: &Attempt, text: &str| {
        attempt.write("state.json", text);
        let file = fs::File::options().write(true).open(attempt.path("state.json")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    };
    write(&attempt, "{\"a\":1}");
    assert!(attempt.follower.poll().state.is_some());
    assert!(attempt.follower.poll().state.is_none());
    write(&attempt, "{\"a\":2}");
    let last = attempt.follower.finish().progress.state.map(StateText::into_string);
    assert_eq!(last.as_deref(), Some("{\"a\":2}"));
}

#[test]
fn statistics_are_given_out_when_they_changed() {
    let mut attempt = Attempt::new();
    attempt.write("stats.json", "{\"Synced Records\":5}");
    assert_eq!(attempt.follower.poll().stats.and_then(|stats| stats.synced_records), Some(5));
    attempt.write("stats.json", "{\"Synced Records\":5} ");
    assert_eq!(attempt.follower.poll().stats, None);
    attempt.write("stats.json", "{\"Synced Rec");
    assert_eq!(attempt.follower.poll().stats, None);
    attempt.write("stats.json", "{\"Synced Records\":6}");
    assert_eq!(attempt.follower.finish().progress.stats.and_then(|stats| stats.synced_records), Some(6));
}

#[test]
fn the_files_of_a_result_are_given_at_the_end_to_the_byte() {
    let mut attempt = Attempt::new();
    attempt.write("streams.json", "{\"streams\": []}\n");
    attempt.write("difference_streams.json", "{\"streams\": [");
    let ending = attempt.follower.finish();
    assert_eq!(ending.streams.as_deref(), Some("{\"streams\": []}\n"));
    assert_eq!(ending.difference, None);
}

#[test]
fn a_half_line_waits_for_its_end_and_the_last_one_needs_none() {
    let mut attempt = Attempt::new();
    let text = records(0..2);
    let (a, b) = text.split_at(text.len() - 10);
    attempt.log(a);
    assert_eq!(attempt.poll(), numbers(0..1));
    attempt.log(b);
    assert_eq!(attempt.poll(), numbers(1..2));
    attempt.log(record("last").trim_end());
    assert!(attempt.poll().is_empty());
    assert_eq!(attempt.finish(), ["last"]);
}

#[test]
fn lines_are_numbered_through_polls() {
    let mut attempt = Attempt::new();
    attempt.log(&records(0..3));
    assert_eq!(attempt.follower.poll().first_line, 0);
    attempt.log(&records(3..5));
    let progress = attempt.follower.poll();
    assert_eq!((progress.first_line, progress.log.len()), (3, 2));
    assert_eq!(attempt.follower.lines(), 5);
}

#[test]
fn a_rotation_loses_and_doubles_nothing() {
    let mut attempt = Attempt::new();
    attempt.log(&records(0..3));
    assert_eq!(attempt.poll(), numbers(0..3));
    attempt.log(&records(3..5));
    attempt.rotate("2026-11-24T07-00-01.000");
    attempt.log(&records(5..6));
    assert_eq!(attempt.poll(), numbers(3..6));
    assert!(attempt.poll().is_empty());
    attempt.rotate("2026-11-24T07-00-02.000");
    assert!(attempt.poll().is_empty(), "between the rename and the new file");
    attempt.log(&records(6..7));
    assert_eq!(attempt.poll(), numbers(6..7));
    assert!(attempt.finish().is_empty());
}

#[test]
fn a_file_that_was_compressed_while_it_was_read_is_read_to_its_end() {
    let mut attempt = Attempt::new();
    attempt.log(&records(0..1));
    assert_eq!(attempt.poll(), numbers(0..1));
    attempt.log(&records(1..4));
    attempt.rotate("2026-11-24T07-00-01.000");
    attempt.compress("2026-11-24T07-00-01.000");
    attempt.log(&records(4..5));
    assert_eq!(attempt.poll(), numbers(1..5));
    attempt.rotate("2026-11-24T07-00-02.000");
    attempt.log(&records(5..6));
    attempt.compress("2026-11-24T07-00-02.000");
    assert_eq!(attempt.finish(), numbers(5..6));
}

#[test]
fn several_rotations_between_two_polls_are_read_in_order() {
    let mut attempt = Attempt::new();
    attempt.log(&records(0..1));
    assert_eq!(attempt.poll(), numbers(0..1));
    for number in 1..6 {
        attempt.rotate(&format!("2026-11-24T07-00-0{number}.000"));
        attempt.log(&records(number..number + 1));
    }
    assert_eq!(attempt.poll(), numbers(1..6));
    assert!(attempt.finish().is_empty());
}

#[test]
fn a_follower_that_starts_late_reads_the_renamed_files_first() {
    let mut attempt = Attempt::new();
    for number in 0..3 {
        attempt.log(&records(number..number + 1));
        attempt.rotate(&format!("2026-11-24T07-00-0{number}.000"));
    }
    attempt.log(&records(3..4));
    assert_eq!(attempt.poll(), numbers(0..4));
}

#[test]
fn lines_that_were_compressed_before_they_were_seen_are_unpacked() {
    let mut attempt = Attempt::new();
    for number in 0..3 {
        attempt.log(&records(number * 2_000..(number + 1) * 2_000));
        attempt.rotate(&format!("2026-11-24T07-00-0{number}.000"));
    }
    attempt.pack("2026-11-24T07-00-00.000");
    attempt.pack("2026-11-24T07-00-01.000");
    attempt.log(&records(6_000..6_001));
    assert_eq!(attempt.poll(), numbers(0..6_001));
    assert!(attempt.finish().is_empty());
}

#[test]
fn lines_that_were_compressed_and_cannot_be_unpacked_are_reported_once() {
    let mut attempt = Attempt::new();
    attempt.log(&records(0..1));
    attempt.rotate("2026-11-24T07-00-01.000");
    attempt.compress("2026-11-24T07-00-01.000");
    attempt.log(&records(1..2));
    let progress = attempt.follower.poll();
    assert_eq!(messages(&progress), numbers(1..2));
    assert!(matches!(progress.errors[..], [FollowError::Missed { .. }]));
    attempt.rotate("2026-11-24T07-00-02.000");
    attempt.log(&records(2..3));
    assert_eq!(attempt.poll(), numbers(2..3));
}

#[test]
fn a_renamed_file_without_a_line_break_at_its_end_does_not_run_into_the_next_one() {
    let mut attempt = Attempt::new();
    attempt.log(records(0..1).trim_end());
    assert!(attempt.poll().is_empty());
    attempt.rotate("2026-11-24T07-00-01.000");
    attempt.log(&records(1..2));
    assert_eq!(attempt.poll(), numbers(0..2));
}

#[test]
fn a_writer_with_many_small_rotations_is_followed_to_the_line() {
    let mut attempt = Attempt::new();
    fs::create_dir_all(attempt.logs()).unwrap();
    let folder = attempt.logs();
    let writer = std::thread::spawn(move || {
        for number in 0..3000 {
            append(&folder.join("olake.log"), &records(number..number + 1));
            if number % 7 == 6 {
                fs::rename(folder.join("olake.log"), folder.join(format!("olake-{number:06}.log"))).unwrap();
            }
        }
    });
    let mut seen = Vec::new();
    while !writer.is_finished() {
        seen.extend(attempt.poll());
    }
    writer.join().unwrap();
    seen.extend(attempt.finish());
    assert_eq!(seen, numbers(0..3000));
}

#[test]
fn the_newest_folder_is_followed() {
    let mut attempt = Attempt::new();
    attempt.log(&records(0..1));
    assert_eq!(attempt.poll(), numbers(0..1));
    attempt.log(&records(1..2));
    fs::create_dir(attempt.path("logs/sync_2026-11-24_08-00-00")).unwrap();
    assert_eq!(attempt.poll(), numbers(1..2));
    append(&attempt.path("logs/sync_2026-11-24_08-00-00/olake.log"), &records(2..3));
    assert_eq!(attempt.poll(), numbers(2..3));
    assert!(attempt.finish().is_empty());
}

#[test]
fn a_poll_reads_a_bounded_part_of_a_big_log() {
    let mut attempt = Attempt::new();
    let text = record(&"x".repeat(1000)).repeat(9000);
    attempt.log(&text);
    let first = attempt.follower.poll();
    assert!(first.more);
    assert!(first.log.len() as u64 * 1000 <= POLL_BYTES);
    let mut count = first.log.len();
    loop {
        let progress = attempt.follower.poll();
        assert_eq!(progress.first_line, count as u64);
        count += progress.log.len();
        if !progress.more {
            break;
        }
    }
    assert_eq!(count, 9000);
}

#[test]
fn the_console_is_used_until_there_is_a_log_file_and_no_line_is_doubled() {
    let mut attempt = Attempt::new();
    assert!(!attempt.follower.feed_console(&printed("0")));
    attempt.follower.feed_console(&printed("1"));
    assert_eq!(attempt.poll(), ["0"], "the last message may be continued");
    assert_eq!(attempt.poll(), ["1"], "nothing came for a tick");
    attempt.follower.feed_console(&printed("only printed"));
    assert!(attempt.poll().is_empty());
    assert_eq!(attempt.poll(), ["only printed"]);
    assert_eq!(attempt.follower.lines(), 3);
    attempt.log(&records(0..3));
    attempt.follower.feed_console(&printed("2"));
    assert_eq!(attempt.poll(), numbers(2..3));
    attempt.log(&records(0..1));
    assert_eq!(attempt.poll(), ["0"], "the same message again is another line");
    attempt.follower.feed_console(&printed("3"));
    assert!(attempt.finish().is_empty(), "the log file holds what counts");
}

#[test]
fn a_flood_before_the_first_look_is_not_doubled() {
    let mut attempt = Attempt::new();
    for number in 0..5000 {
        attempt.follower.feed_console(&printed(&number.to_string()));
    }
    attempt.log(&records(0..6000));
    assert_eq!([attempt.poll(), attempt.finish()].concat(), numbers(0..6000));
}

#[test]
fn a_connector_without_a_log_file_is_read_from_the_console_to_its_last_word() {
    let mut attempt = Attempt::new();
    attempt.follower.feed_console(b"one\ntwo");
    assert_eq!(attempt.poll(), ["one"]);
    let ending = attempt.follower.finish();
    assert_eq!(messages(&ending.progress), ["two"]);
    assert_eq!(ending.console_tail, ["one", "two"]);
}

#[test]
fn the_last_lines_of_the_console_are_kept_beside_the_log_file() {
    let mut attempt = Attempt::new();
    attempt.log(&records(0..1));
    assert_eq!(attempt.poll(), numbers(0..1));
    for number in 0..50 {
        attempt.follower.feed_console(&printed(&number.to_string()));
    }
    attempt.follower.feed_console(b"panic: a\n\tb\n");
    assert!(attempt.poll().is_empty());
    let tail = attempt.follower.finish().console_tail;
    assert_eq!(tail.len(), 20);
    assert_eq!(tail[17..], ["49", "panic: a", "\tb"]);
}

#[test]
fn a_feeder_is_asked_to_let_a_poll_come_first_when_much_waits() {
    let mut attempt = Attempt::new();
    let chunk = [b"x".repeat(1000), b"\n".to_vec()].concat().repeat(64);
    let mut fed = 0;
    while !attempt.follower.feed_console(&chunk) {
        fed += chunk.len();
        assert!(fed < 8 << 20);
    }
    assert!(!attempt.poll().is_empty());
    assert!(!attempt.follower.feed_console(&chunk));
}

#[test]
fn an_error_of_one_file_stops_nothing_else() {
    let mut attempt = Attempt::new();
    fs::create_dir(attempt.path("stats.json")).unwrap();
    attempt.write("state.json", "{\"a\":1}");
    attempt.log(&records(0..1));
    let progress = attempt.follower.poll();
    assert!(progress.state.is_some());
    assert_eq!(messages(&progress), numbers(0..1));
    assert!(matches!(progress.errors[..], [FollowError::Read { .. }]));
}
