use super::*;
use crate::connector::output::OutputParser;

fn console(text: &str) -> Findings {
    let mut lines = Vec::new();
    let mut parser = OutputParser::console("2026-01-01T00:00:00Z".parse().unwrap());
    parser.feed(text.as_bytes(), &mut lines);
    parser.finish(&mut lines);
    Findings::of(&lines)
}

const OK: Exit = Exit::Code(0);

#[test]
fn a_spec_is_found_as_a_message_bare_or_behind_another_message() {
    let spec = r#"{"jsonschema":{"z":1,"a":2},"uischema":"{\"x\":1}"}"#;
    for text in [
        format!("2026-11-24T07:06:48Z INFO {spec}\n"),
        format!("{spec}\n"),
        format!("2026-11-24T07:06:48Z INFO hello\n{spec}\n"),
    ] {
        let found = console(&text).spec(OK).unwrap();
        assert_eq!(found.jsonschema.to_string(), r#"{"z":1,"a":2}"#);
        assert_eq!(found.uischema, "{\"x\":1}");
    }
}

#[test]
fn a_spec_without_hints_is_a_spec() {
    assert_eq!(console("{\"jsonschema\":{}}\n").spec(OK).unwrap().uischema, "");
}

#[test]
fn a_run_that_reports_nothing_is_a_failure_even_with_exit_code_0() {
    let failure = console("what?\n").spec(OK).unwrap_err();
    assert_eq!(failure.class, FailureClass::Connector);
    assert!(failure.message.contains("did not say a spec"), "{}", failure.message);
    assert!(failure.message.ends_with("Its last line: what?"), "{}", failure.message);
    assert!(console("what?\n").check(OK).is_err());
    assert!(console("").catalog(OK, None).is_err());
}

#[test]
fn the_status_line_decides_before_the_exit_code() {
    let failed = r#"2026-11-24T07:06:48Z INFO {"connectionStatus":{"message":"no","status":"FAILED"},"type":"CONNECTION_STATUS"}"#;
    let check = console(failed).check(OK).unwrap();
    assert_eq!(check, CheckResult { status: CheckStatus::Failed, message: Some("no".to_owned()) });
    let succeeded =
        r#"2026-11-24T07:06:48Z INFO {"connectionStatus":{"status":"SUCCEEDED"},"type":"CONNECTION_STATUS"}"#;
    let check = console(succeeded).check(Exit::Code(1)).unwrap();
    assert_eq!(check, CheckResult { status: CheckStatus::Succeeded, message: None });
}

#[test]
fn a_config_that_cannot_be_read_is_a_failed_check() {
    let check = console("2026-11-24T07:06:48Z FATAL cannot read\n").check(Exit::Code(1)).unwrap();
    assert_eq!(check, CheckResult { status: CheckStatus::Failed, message: Some("cannot read".to_owned()) });
}

#[test]
fn totals_are_read_with_a_unit_with_plain_bytes_and_without_bytes() {
    let totals = |text: &str| console(&format!("2026-11-24T07:06:48Z INFO {text}\n")).totals();
    let with = |records, bytes| Some(Totals { records, bytes });
    assert_eq!(totals("Total records read: 30013 | Total bytes read: 2.72 MB"), with(30013, Some(2_852_127)));
    assert_eq!(totals("Total records read: 10 | Total bytes read: 651 B"), with(10, Some(651)));
    assert_eq!(totals("Total records read: 10 | Total bytes read: 651"), with(10, Some(651)));
    assert_eq!(totals("Total records read: 7"), with(7, None));
    assert_eq!(totals("Total records read: many"), None);
}

#[test]
fn the_last_fatal_message_is_the_reason() {
    let findings = console("2026-11-24T07:06:48Z FATAL one\n2026-11-24T07:06:48Z FATAL two\n");
    assert_eq!(findings.last_fatal(), Some("two"));
    let failure = findings.explain(Exit::Code(1));
    let expected =
        Failure { class: FailureClass::Connector, message: "two".to_owned(), needs_state_reset: false };
    assert_eq!(failure, expected);
}

#[test]
fn an_lsn_mismatch_names_the_only_cure() {
    let text = "2026-11-24T07:06:48Z FATAL x: lsn mismatch, please proceed with clear destination\n";
    let failure = console(text).explain(Exit::Code(1));
    assert!(failure.needs_state_reset);
    assert!(failure.message.contains("reset state and reload"), "{}", failure.message);
    assert!(failure.message.contains("lsn mismatch"), "{}", failure.message);
}

#[test]
fn an_end_without_a_reason_is_explained_by_the_exit() {
    let silent = |exit| Findings::default().explain(exit);
    assert!(silent(Exit::Code(1)).message.contains("a flag it does not know"));
    assert_eq!(silent(Exit::Code(1)).class, FailureClass::Connector);
    assert_eq!(silent(Exit::Code(127)).class, FailureClass::Image);
    assert_eq!(silent(Exit::Signal(9)), silent(Exit::Code(137)));
    assert_eq!(silent(Exit::Signal(9)).class, FailureClass::Infrastructure);
    assert!(silent(Exit::Signal(9)).message.contains("memory"));
    assert_eq!(silent(Exit::Code(143)).class, FailureClass::Infrastructure);
    assert_eq!(silent(Exit::Signal(11)).class, FailureClass::Connector);
}

#[test]
fn a_crash_is_named() {
    let text =
        "2026-11-24T07:06:48Z INFO working\npanic: runtime error: index out of range\n\ngoroutine 1:\n";
    let failure = console(text).explain(Exit::Code(2));
    assert!(failure.message.starts_with("The connector crashed: panic: runtime error: index out of range."));
}

#[test]
fn a_long_run_is_remembered_in_little_room() {
    let mut findings = console(&"x".repeat(100_000));
    for _ in 0..3 {
        let line = LogLine {
            level: Level::Info,
            time: "2026-01-01T00:00:00Z".parse().unwrap(),
            message: "é".repeat(5_000),
            json: None,
        };
        (0..100).for_each(|_| findings.observe(&line));
    }
    assert_eq!(findings.tail.len(), TAIL_LINES);
    assert!(findings.tail.iter().all(|text| text.len() <= TAIL_LINE_BYTES));
}

#[test]
fn a_catalog_is_kept_to_the_byte_and_must_be_whole() {
    let text = "{\"selected_streams\": {},\n \"streams\": [{\"stream\": {}}]}\n";
    assert_eq!(console("").catalog(OK, Some(text)).unwrap(), text);
    for end in 0..text.len() - 1 {
        assert_eq!(parse_catalog(&text.as_bytes()[..end]), None, "{end} bytes");
    }
    assert_eq!(parse_catalog(b"{\"selected_streams\":{}}"), None);
    assert_eq!(parse_catalog(b"{\"streams\":{}}"), None);
    assert!(parse_catalog(b"{\"streams\":null}").is_some());
    assert!(console("").catalog(Exit::Code(1), Some(text)).is_err());
}
