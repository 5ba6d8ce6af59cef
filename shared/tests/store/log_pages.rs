//! Pages of a log.

use olake_shared::store::{
    StoreError,
    logs::{Direction, LogLine},
};

use crate::{
    databases::{self, TestDatabase},
    on_both_databases,
    stage::{claimed, line},
};

on_both_databases!(log_pages_join_without_gaps,);

async fn log_pages_join_without_gaps(db: TestDatabase) {
    let (project, job, _, claimed) = claimed(&db, "j").await;
    let queue = db.store.queue();
    let all: Vec<LogLine> = (0..100).map(line).collect();
    for (n, part) in all.chunks(7).enumerate() {
        let first = i64::try_from(n * 7).unwrap();
        queue.append_log(claimed.fence, first, part).await.unwrap();
        // The answer was lost, and it is written again: nothing is there twice.
        queue.append_log(claimed.fence, first, part).await.unwrap();
    }
    let task = claimed.fence.task;
    for debug in [true, false] {
        let wanted: Vec<String> =
            all.iter().filter(|l| debug || l.level != "debug").map(|l| l.message.clone()).collect();
        let mut back = Vec::new();
        let mut cursor = None;
        loop {
            let page = project.log_page(Some(job), task, cursor, 9, Direction::Older, debug).await.unwrap();
            let lines: Vec<_> = page.lines.iter().map(|l| l.message.clone()).collect();
            back.splice(0..0, lines);
            if !page.has_more_older {
                break;
            }
            cursor = Some(page.older_cursor);
        }
        assert_eq!(back, wanted);
        let (mut forth, mut cursor) = (Vec::new(), Some(0));
        loop {
            let page = project.log_page(Some(job), task, cursor, 9, Direction::Newer, debug).await.unwrap();
            forth.extend(page.lines.iter().map(|l| l.message.clone()));
            cursor = Some(page.newer_cursor);
            if !page.has_more_newer {
                break;
            }
        }
        assert_eq!(forth, wanted);
    }
    let beyond = project.log_page(Some(job), task, Some(1_000_000), 9, Direction::Newer, true).await.unwrap();
    assert!(beyond.lines.is_empty() && !beyond.has_more_newer && beyond.has_more_older);
    assert!(matches!(
        project.log_page(Some(job + 1), task, None, 9, Direction::Older, true).await,
        Err(StoreError::NotFound(_))
    ));
}
