use super::*;

const HEAD: &str = "\u{1b}[90m2026-11-24T07:06:48Z\u{1b}[0m \u{1b}[32mINFO\u{1b}[0m ";

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn started() -> DateTime<Utc> {
    time("2026-01-01T00:00:00Z")
}

fn console(text: &str) -> Vec<LogLine> {
    let mut out = Vec::new();
    let mut parser = OutputParser::console(started());
    parser.feed(text.as_bytes(), &mut out);
    parser.finish(&mut out);
    out
}

fn json_lines(text: &str) -> Vec<LogLine> {
    let mut out = Vec::new();
    let mut parser = OutputParser::json_lines(started());
    parser.feed(text.as_bytes(), &mut out);
    parser.finish(&mut out);
    out
}

#[test]
fn a_console_message_loses_its_colours_and_keeps_its_text() {
    let lines = console(&format!("{HEAD}hello \u{1b}[1;31mred\u{1b}[0m [90m world\n"));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].level, Level::Info);
    assert_eq!(lines[0].time, time("2026-11-24T07:06:48Z"));
    assert_eq!(lines[0].message, "hello red [90m world");
}

#[test]
fn an_escape_that_is_no_colour_stays() {
    assert_eq!(strip_colours("\u{1b}[2Jx\u{1b}[\u{1b}[0my\u{1b}[3".to_owned()), "\u{1b}[2Jx\u{1b}[y\u{1b}[3");
}

#[test]
fn chunk_borders_do_not_matter_even_inside_an_escape_or_a_character() {
    let text = format!("before\n{HEAD}grüße\nmore\n\n{HEAD}{{\"a\":1}}\n2026-11-24T07:06:49Z FATAL end");
    let whole = console(&text);
    let messages: Vec<_> = whole.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(messages, ["before", "grüße\nmore", "{\"a\":1}", "end"]);
    for at in 0..text.len() {
        let (a, b) = text.as_bytes().split_at(at);
        let mut out = Vec::new();
        let mut parser = OutputParser::console(started());
        parser.feed(a, &mut out);
        parser.feed(b, &mut out);
        parser.finish(&mut out);
        assert_eq!(out, whole, "split at byte {at}");
    }
}

#[test]
fn text_before_the_first_message_becomes_lines_at_the_start_time() {
    let lines = console("exec format error\n\nsecond\n");
    let seen: Vec<_> = lines.iter().map(|l| (l.level, l.time, l.message.as_str())).collect();
    assert_eq!(seen, [(Level::Info, started(), "exec format error"), (Level::Info, started(), "second")]);
}

#[test]
fn a_message_without_text_is_a_message() {
    assert_eq!(console("2026-11-24T07:06:48Z WARN\n2026-11-24T07:06:48Z WARN \n").len(), 2);
}

#[test]
fn a_line_that_only_looks_like_a_head_continues_the_message() {
    let lines = console("2026-11-24T07:06:48Z INFO a\nQUIZ INFO b\n2026-11-24T07:06:48Z NOTE c\n");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].message, "a\nQUIZ INFO b\n2026-11-24T07:06:48Z NOTE c");
}

#[test]
fn a_settled_message_is_given_out_once_and_its_late_continuation_is_a_line_of_its_own() {
    let mut out = Vec::new();
    let mut parser = OutputParser::console(started());
    parser.feed(b"2026-11-24T07:06:48Z ERROR a\n", &mut out);
    assert!(out.is_empty());
    parser.settle(&mut out);
    parser.settle(&mut out);
    assert_eq!(out.len(), 1);
    parser.feed(b"late\n", &mut out);
    parser.finish(&mut out);
    assert_eq!(out.len(), 2);
    assert_eq!((out[1].level, out[1].time), (Level::Error, time("2026-11-24T07:06:48Z")));
    assert_eq!(out[1].message, "late");
}

#[test]
fn a_message_of_the_log_file_may_be_a_text_or_an_object() {
    let lines = json_lines(concat!(
        r#"{"level":"info","message":{"z":1.0,"a":{"b":[1, 2]}},"time":"2026-11-24T07:06:48Z"}"#,
        "\n",
        r#"{"level":"fatal","time":"2026-11-24T07:06:49Z","message":"two\nlines \u001b[31mred\u001b[0m\n"}"#,
        "\n",
        r#"{"level":"debug","time":"2026-11-24T07:06:49Z","message":"{\"k\":true}"}"#,
    ));
    assert_eq!(lines[0].message, r#"{"z":1.0,"a":{"b":[1,2]}}"#);
    assert!(lines[0].json.is_some());
    assert_eq!((lines[1].level, lines[1].message.as_str()), (Level::Fatal, "two\nlines red"));
    assert_eq!(lines[2].json, Some(serde_json::json!({"k": true})));
}

#[test]
fn a_line_of_the_log_file_that_is_no_record_is_kept() {
    let lines = json_lines(concat!(
        r#"{"level":"warn","time":"2026-11-24T07:06:48Z","message":"a"}"#,
        "\nrubbish\n\n",
        r#"{"level":"info","time":"2026-11-24T07:06:49Z","error":"b"}"#,
        "\n[1]\n{\"level\":\"in",
    ));
    let seen: Vec<_> = lines.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(seen, ["a", "rubbish", r#"{"error":"b"}"#, "[1]", "{\"level\":\"in"]);
    assert_eq!(lines[1].time, time("2026-11-24T07:06:48Z"));
}

#[test]
fn a_huge_record_is_cut_with_a_mark_and_keeps_its_level_and_time() {
    let text = format!(
        "{{\"level\":\"error\",\"time\":\"2026-11-24T07:06:48Z\",\"message\":\"{}\"}}\n{}\n",
        "é".repeat(LINE_LIMIT),
        r#"{"level":"info","time":"2026-11-24T07:06:49Z","message":"next"}"#
    );
    let lines = json_lines(&text);
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0].level, lines[0].time), (Level::Error, time("2026-11-24T07:06:48Z")));
    assert!(lines[0].message.starts_with("éé") && lines[0].message.ends_with(CUT_MARK));
    assert!(lines[0].message.len() <= LINE_LIMIT + CUT_MARK.len());
    assert_eq!(lines[1].message, "next");
}

#[test]
fn a_huge_console_message_is_cut_and_endless_continuations_are_divided() {
    let huge = console(&format!("{HEAD}{}\n{HEAD}next\n", "x".repeat(3 * LINE_LIMIT)));
    assert_eq!(huge.len(), 2);
    assert!(huge[0].message.ends_with(CUT_MARK));
    assert_eq!(huge[1].message, "next");

    let endless = console(&format!("{HEAD}first\n{}", "0123456789abcde\n".repeat(100_000)));
    assert!(endless.iter().all(|line| line.message.len() <= LINE_LIMIT));
    let kept: usize = endless.iter().map(|line| line.message.matches("0123456789abcde").count()).sum();
    assert_eq!(kept, 100_000);
}

#[test]
fn the_two_forms_of_a_message_are_the_same_message() {
    let printed = console(&format!("{HEAD}{{\"a\":1,\"b\":\"x\"}}\n"));
    let logged = json_lines(r#"{"level":"info","message":{"b":"x","a":1},"time":"2026-11-24T07:06:48Z"}"#);
    assert!(printed[0].is_same_message(&logged[0]));
    let other = json_lines(r#"{"level":"info","message":{"b":"y","a":1},"time":"2026-11-24T07:06:48Z"}"#);
    assert!(!printed[0].is_same_message(&other[0]));
}
