//! Logs: searched, followed and taken as a whole, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/databases.rs"]
mod databases;
#[path = "support/samples.rs"]
mod samples;

use chrono::DateTime;
use databases::TestDatabase;
use olake_shared::{
    domain::task::TaskStatus,
    store::{
        ProjectStore, StoreError,
        logs::{
            Direction, LogLine,
            search::{Level, LogFilter, SEARCHED_CHUNKS},
        },
        tasks::{
            claim::Claimed,
            end::{Final, Outcome},
        },
    },
};
use samples::{claim, job, project, user};

on_both_databases!(
    a_search_finds_every_match_both_ways,
    a_level_leaves_out_what_is_better,
    a_search_without_a_match_ends_its_page_and_leads_on,
    a_cursor_beyond_the_end_is_the_end,
    a_log_is_followed_to_the_end_of_its_task,
    an_archive_is_the_log_as_it_stood,
    a_page_of_long_lines_is_short_and_leads_on,
    a_log_of_another_project_or_job_is_not_there,
);

struct Stage {
    project: ProjectStore,
    job: i64,
    claimed: Box<Claimed>,
    written: std::cell::Cell<i64>,
    db: TestDatabase,
}

impl Stage {
    async fn new(db: TestDatabase) -> Self {
        let (project, user) = (project(&db.store).await, user(&db.store).await);
        let job = project.create_job(&job("j"), user).await.unwrap().id;
        let task = project.create_sync(job, user).await.unwrap().task;
        let claimed = claim(&db.store, task).await;
        Self { project, job, claimed, written: std::cell::Cell::new(0), db }
    }

    async fn write(&self, lines: &[LogLine]) {
        let first = self.written.replace(self.written.get() + i64::try_from(lines.len()).unwrap());
        self.db.store.queue().append_log(self.claimed.fence, first, lines).await.unwrap();
    }

    async fn end(&self) {
        self.db.store.queue().end(self.claimed.fence, &Final::bare(Outcome::Clean)).await.unwrap();
    }

    /// All matches, and how many pages they took.
    async fn all(&self, direction: Direction, limit: u64, filter: &LogFilter) -> (Vec<String>, usize) {
        let (mut found, mut pages) = (Vec::new(), 0);
        let mut cursor = (direction == Direction::Newer).then_some(0);
        loop {
            let task = self.claimed.fence.task;
            let page = self
                .project
                .log_matches(Some(self.job), task, cursor, limit, direction, filter)
                .await
                .unwrap();
            pages += 1;
            let lines = page.lines.into_iter().map(|line| line.message).collect::<Vec<_>>();
            let more = match direction {
                Direction::Older => {
                    found.splice(0..0, lines);
                    cursor = Some(page.older_cursor);
                    page.has_more_older
                }
                Direction::Newer => {
                    found.extend(lines);
                    cursor = Some(page.newer_cursor);
                    page.has_more_newer
                }
            };
            if !more {
                return (found, pages);
            }
        }
    }
}

fn line(level: &str, message: &str) -> LogLine {
    LogLine { level: level.into(), time: DateTime::UNIX_EPOCH, message: message.into() }
}

fn lines(count: usize) -> Vec<LogLine> {
    const LEVELS: [&str; 5] = ["debug", "info", "warn", "error", "fatal"];
    (0..count)
        .map(|n| line(LEVELS[n % 5], &format!("Line {n} of {}", if n % 7 == 0 { "TABLE" } else { "none" })))
        .collect()
}

async fn a_search_finds_every_match_both_ways(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let all = lines(100);
    for part in all.chunks(9) {
        stage.write(part).await;
    }
    let wanted: Vec<_> = (0..100).step_by(7).map(|n| format!("Line {n} of TABLE")).collect();
    let filter = LogFilter::new(Level::Debug, Some("of table"));
    for direction in [Direction::Older, Direction::Newer] {
        for limit in [1, 4, 1_000] {
            assert_eq!(stage.all(direction, limit, &filter).await.0, wanted, "{direction:?}, {limit} a page");
        }
    }
}

async fn a_level_leaves_out_what_is_better(db: TestDatabase) {
    let stage = Stage::new(db).await;
    stage.write(&lines(50)).await;
    let count = async |level| stage.all(Direction::Older, 7, &LogFilter::new(level, None)).await.0.len();
    assert_eq!(count(Level::Debug).await, 50);
    assert_eq!(count(Level::Info).await, 40);
    assert_eq!(count(Level::Warn).await, 30);
    assert_eq!(count(Level::Fatal).await, 10);
}

async fn a_search_without_a_match_ends_its_page_and_leads_on(db: TestDatabase) {
    let stage = Stage::new(db).await;
    stage.write(&[line("info", "needle")]).await;
    for n in 0..SEARCHED_CHUNKS + 5 {
        stage.write(&[line("info", &format!("hay {n}"))]).await;
    }
    let filter = LogFilter::new(Level::Debug, Some("needle"));
    let task = stage.claimed.fence.task;
    let page =
        stage.project.log_matches(Some(stage.job), task, None, 10, Direction::Older, &filter).await.unwrap();
    assert!(page.lines.is_empty() && page.has_more_older && page.older_cursor == 6, "{page:?}");
    assert_eq!(stage.all(Direction::Older, 10, &filter).await, (vec!["needle".to_owned()], 2));
    assert_eq!(stage.all(Direction::Newer, 10, &filter).await, (vec!["needle".to_owned()], 2));
}

async fn a_cursor_beyond_the_end_is_the_end(db: TestDatabase) {
    let stage = Stage::new(db).await;
    stage.write(&lines(10)).await;
    let task = stage.claimed.fence.task;
    let filter = LogFilter::new(Level::Warn, None);
    let beyond = Some(i64::MAX);
    let page = stage
        .project
        .log_matches(Some(stage.job), task, beyond, 10, Direction::Newer, &filter)
        .await
        .unwrap();
    assert_eq!(
        (page.lines.len(), page.newer_cursor, page.has_more_newer, page.has_more_older),
        (0, 10, false, true)
    );
    let page = stage
        .project
        .log_matches(Some(stage.job), task, beyond, 10, Direction::Older, &filter)
        .await
        .unwrap();
    assert_eq!((page.lines.len(), page.has_more_older), (6, false));
}

async fn a_log_is_followed_to_the_end_of_its_task(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let task = stage.claimed.fence.task;
    let follow =
        async |cursor, limit| stage.project.follow_log(stage.job, task, cursor, limit).await.unwrap();
    let nothing = follow(0, 10).await;
    assert!(nothing.lines.is_empty() && nothing.cursor == 0 && nothing.ended.is_none());
    stage.write(&lines(10)).await;
    let some = follow(0, 4).await;
    assert_eq!((some.lines.len(), some.lines[3].0, some.cursor, some.ended), (4, 4, 4, None));
    stage.end().await;
    let more = follow(4, 4).await;
    assert_eq!((more.lines[0].1.message.as_str(), more.cursor, more.ended), ("Line 4 of none", 8, None));
    let last = follow(8, 4).await;
    assert_eq!((last.lines.len(), last.cursor, last.ended), (2, 10, Some(TaskStatus::Succeeded)));
    assert_eq!(
        follow(-1, 4).await.ended,
        Some(TaskStatus::Succeeded),
        "from the end there is nothing to come"
    );
    assert_eq!(follow(99, 4).await.cursor, 10);
}

async fn an_archive_is_the_log_as_it_stood(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let task = stage.claimed.fence.task;
    for part in lines(30).chunks(8) {
        stage.write(part).await;
    }
    stage.db.store.queue().push_state(stage.claimed.fence, stage.job, 1, "{\"at\": 1}").await.unwrap();
    let archive = stage.project.log_archive(stage.job, task).await.unwrap();
    stage.write(&lines(5)).await;
    assert_eq!(archive.state.as_deref(), Some("{\"at\": 1}"));
    let (mut text, mut after) = (Vec::new(), -1);
    while let Some(part) = stage.project.log_text(&archive, after).await.unwrap() {
        text.extend(part.text);
        after = part.after;
    }
    assert_eq!(i64::try_from(text.len()).unwrap(), archive.bytes);
    let read: Vec<LogLine> = text
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!(read, lines(30));
}

async fn a_page_of_long_lines_is_short_and_leads_on(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let task = stage.claimed.fence.task;
    let long: Vec<_> = (0..20).map(|n| line("info", &format!("{n} {}", "x".repeat(1 << 20)))).collect();
    stage.write(&long).await;
    let number = |line: &LogLine| line.message.split(' ').next().unwrap().parse::<i64>().unwrap();
    let (mut seen, mut cursor) = (Vec::new(), Some(0));
    loop {
        let page = stage
            .project
            .log_page(Some(stage.job), task, cursor, 5_000, Direction::Newer, true)
            .await
            .unwrap();
        assert!((1..=9).contains(&page.lines.len()), "{}", page.lines.len());
        seen.extend(page.lines.iter().map(number));
        cursor = Some(page.newer_cursor);
        if !page.has_more_newer {
            break;
        }
    }
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    let tail =
        stage.project.log_page(Some(stage.job), task, None, 5_000, Direction::Older, false).await.unwrap();
    assert!(tail.has_more_older && tail.older_cursor == 20 - i64::try_from(tail.lines.len()).unwrap());
    let followed = stage.project.follow_log(stage.job, task, 3, 100).await.unwrap();
    assert_eq!((followed.lines.len(), followed.cursor), (1, 4));
}

async fn a_log_of_another_project_or_job_is_not_there(db: TestDatabase) {
    let stage = Stage::new(db).await;
    let task = stage.claimed.fence.task;
    let is_missing = |error: StoreError| assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    is_missing(stage.project.log_archive(stage.job + 1, task).await.unwrap_err());
    is_missing(stage.project.follow_log(stage.job + 1, task, 0, 1).await.unwrap_err());
    let other = olake_shared::domain::project::ProjectId::new("olake");
    let other = stage.db.store.project(&other).await.unwrap();
    is_missing(other.log_archive(stage.job, task).await.unwrap_err());
    is_missing(other.follow_log(stage.job, task, 0, 1).await.unwrap_err());
    let filter = LogFilter::new(Level::Warn, None);
    is_missing(other.log_matches(None, task, None, 1, Direction::Older, &filter).await.unwrap_err());
}
