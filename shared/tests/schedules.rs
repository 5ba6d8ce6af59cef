//! Schedules on a clock that the test moves, with three workers that look, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "support/databases.rs"]
mod databases;
#[path = "support/samples.rs"]
mod samples;

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use databases::TestDatabase;
use olake_shared::{
    clock::TestClock,
    domain::task::{TaskStatus, TaskTrigger},
    store::{ProjectStore, Store, jobs::JobInput, schedules::Fired, tasks::read::Task},
};
use samples::{job_with, project, user};
use sea_orm::ConnectionTrait;
use serde_json::json;

on_both_databases!(
    each_slot_fires_once_over_48_hours_and_both_changes_of_the_clock,
    a_slot_that_finds_the_job_running_is_recorded_as_skipped,
    two_hours_without_a_worker_are_one_run_or_none_as_the_job_says,
    a_paused_job_has_no_slots,
    a_schedule_that_cannot_be_read_holds_nobody_up,
    a_slot_is_not_fired_again_when_the_clock_is_put_back,
);

/// Three workers of one database, on a clock that stands still until it is moved.
struct Workers {
    clock: Arc<TestClock>,
    store: Store,
    project: ProjectStore,
    user: i64,
}

impl Workers {
    async fn at(db: &TestDatabase, time: &str) -> Self {
        let clock = Arc::new(TestClock::at(at(time)));
        let store = Store::new(db.store.connection().clone(), databases::keys(), clock.clone());
        let (project, user) = (project(&store).await, user(&store).await);
        Self { clock, store, project, user }
    }

    async fn job(&self, input: &JobInput) -> i64 {
        self.project.create_job(input, self.user).await.unwrap().id
    }

    /// All three look at once.
    async fn look(&self) -> Vec<Fired> {
        let queue = self.store.queue();
        let looks = (0..3).map(|_| queue.fire_schedules(100));
        futures::future::join_all(looks).await.into_iter().flat_map(Result::unwrap).collect()
    }

    async fn look_after(&self, step: TimeDelta) -> Vec<Fired> {
        self.clock.advance(step);
        self.look().await
    }

    /// What the schedule made of a job, oldest first: slot, status, reason.
    async fn slots(&self, job: i64) -> Vec<Task> {
        let mut tasks = self.project.tasks_of_job(job, 1000, None).await.unwrap();
        tasks.retain(|task| task.trigger == TaskTrigger::Schedule);
        tasks.sort_by_key(|task| task.scheduled_for);
        tasks
    }
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
}

fn started(fired: &[Fired]) -> Vec<i64> {
    fired.iter().filter_map(|fired| if let Fired::Started(task) = fired { task.job } else { None }).collect()
}

fn skipped(fired: &[Fired]) -> Vec<&str> {
    let mut reasons = Vec::new();
    for fired in fired {
        if let Fired::Skipped { reason, .. } = fired {
            reasons.push(reason.as_str());
        }
    }
    reasons
}

async fn each_slot_fires_once_over_48_hours_and_both_changes_of_the_clock(db: TestDatabase) {
    let berlin = json!({"time_zone": "Europe/Berlin"});
    for (start, daily) in [
        ("2026-03-28T00:10:00Z", ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z"]),
        ("2026-10-24T00:10:00Z", ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z"]),
    ] {
        let workers = Workers::at(&db, start).await;
        let start = at(start);
        let halves = workers.job(&job_with(&format!("halves {start}"), "*/30 * * * *", &berlin)).await;
        let nights = workers.job(&job_with(&format!("nights {start}"), "30 2 * * *", &berlin)).await;
        let hours = workers.job(&job_with(&format!("hours {start}"), "1-hours", &json!({}))).await;
        let mut runs: BTreeMap<i64, usize> = BTreeMap::new();
        for _ in 0..48 * 6 {
            let fired = workers.look_after(TimeDelta::minutes(10) - TimeDelta::seconds(1)).await;
            assert!(fired.is_empty(), "before its time: {fired:?}");
            let fired = workers.look_after(TimeDelta::seconds(1)).await;
            assert!(skipped(&fired).is_empty(), "{fired:?}");
            for job in started(&fired) {
                *runs.entry(job).or_default() += 1;
                workers.project.cancel_job(job).await.unwrap();
            }
        }
        assert_eq!(runs, BTreeMap::from([(halves, 96), (nights, 2), (hours, 48)]));
        let slots = async |job| -> Vec<_> {
            workers.slots(job).await.iter().map(|task| task.scheduled_for.unwrap()).collect()
        };
        assert_eq!(slots(nights).await, daily.map(at));
        let first = start + TimeDelta::minutes(20);
        let expected: Vec<_> = (0..96).map(|n| first + TimeDelta::minutes(30 * n)).collect();
        assert_eq!(slots(halves).await, expected, "every half hour of real time");
        assert_eq!(slots(hours).await.len(), 48);
        for job in [halves, nights, hours] {
            workers.project.delete_job(job, None, workers.user).await.unwrap();
        }
    }
}

async fn a_slot_that_finds_the_job_running_is_recorded_as_skipped(db: TestDatabase) {
    let workers = Workers::at(&db, "2026-01-01T00:30:00Z").await;
    let job = workers.job(&job_with("hourly", "0 * * * *", &json!({}))).await;
    let running = workers.project.create_sync(job, workers.user).await.unwrap().task;
    let fired = workers.look_after(TimeDelta::minutes(30)).await;
    assert_eq!(skipped(&fired), ["the job was still running"]);
    assert!(started(&fired).is_empty());
    let slots = workers.slots(job).await;
    let [slot] = &slots[..] else { panic!("{slots:?}") };
    assert_eq!((slot.status, slot.scheduled_for), (TaskStatus::Skipped, Some(at("2026-01-01T01:00:00Z"))));
    assert_eq!(slot.failure_message.as_deref(), Some("the job was still running"));
    assert!(slot.ended_at.is_some());
    let last = workers.project.job(job).await.unwrap().last_run.unwrap();
    assert_eq!((last.task, last.state.as_str()), (running, "queued"), "a skipped slot is no run");
    workers.project.cancel_job(job).await.unwrap();
    assert_eq!(started(&workers.look_after(TimeDelta::hours(1)).await), [job]);
}

async fn two_hours_without_a_worker_are_one_run_or_none_as_the_job_says(db: TestDatabase) {
    let workers = Workers::at(&db, "2026-01-01T00:55:00Z").await;
    let once = workers.job(&job_with("once", "*/30 * * * *", &json!({}))).await;
    let skip = workers.job(&job_with("skip", "*/30 * * * *", &json!({"missed_slots": "skip"}))).await;
    // 1:00, 1:30, 2:00 and 2:30 have passed when the workers are back.
    let fired = workers.look_after(TimeDelta::hours(2)).await;
    assert_eq!(started(&fired), [once]);
    let three =
        "3 slots, 2026-01-01T01:00:00Z to 2026-01-01T02:00:00Z, were missed: nothing was up to run them";
    let four =
        "4 slots, 2026-01-01T01:00:00Z to 2026-01-01T02:30:00Z, were missed: nothing was up to run them";
    let mut words = skipped(&fired);
    words.sort_unstable();
    assert_eq!(words, [three, four]);
    assert!(workers.look().await.is_empty());

    let shown = async |job| -> Vec<_> {
        let slots = workers.slots(job).await;
        slots
            .into_iter()
            .map(|task| (task.scheduled_for.unwrap(), task.status, task.failure_message))
            .collect()
    };
    let missed = (at("2026-01-01T02:00:00Z"), TaskStatus::Skipped, Some(three.to_owned()));
    assert_eq!(shown(once).await, [missed, (at("2026-01-01T02:30:00Z"), TaskStatus::Queued, None)]);
    let missed = (at("2026-01-01T02:30:00Z"), TaskStatus::Skipped, Some(four.to_owned()));
    assert_eq!(shown(skip).await, [missed]);

    // The next slot is on time for both.
    workers.project.cancel_job(once).await.unwrap();
    let mut next = started(&workers.look_after(TimeDelta::minutes(5)).await);
    next.sort_unstable();
    assert_eq!(next, [once, skip]);
}

async fn a_paused_job_has_no_slots(db: TestDatabase) {
    let workers = Workers::at(&db, "2026-01-01T00:30:00Z").await;
    let job = workers.job(&job_with("hourly", "0 * * * *", &json!({}))).await;
    workers.project.activate_job(job, false, workers.user).await.unwrap();
    assert!(workers.look_after(TimeDelta::hours(5)).await.is_empty());
    workers.project.activate_job(job, true, workers.user).await.unwrap();
    assert!(workers.look().await.is_empty(), "what passed during the pause was not missed");
    assert_eq!(started(&workers.look_after(TimeDelta::minutes(30)).await), [job]);
}

async fn a_schedule_that_cannot_be_read_holds_nobody_up(db: TestDatabase) {
    let workers = Workers::at(&db, "2026-01-01T00:30:00Z").await;
    let broken = workers.job(&job_with("broken", "0 * * * *", &json!({}))).await;
    let unset = workers.job(&job_with("unset", "0 * * * *", &json!({}))).await;
    let good = workers.job(&job_with("good", "0 * * * *", &json!({}))).await;
    let sql = format!("UPDATE jobs SET frequency = 'full moon' WHERE id = {broken}");
    db.store.connection().execute_unprepared(&sql).await.unwrap();
    let sql = format!("UPDATE jobs SET advanced_settings = '' WHERE id = {unset}");
    db.store.connection().execute_unprepared(&sql).await.unwrap();

    // One at a time: the broken ones, which come first, must make room.
    workers.clock.advance(TimeDelta::minutes(30));
    let mut fired = Vec::new();
    for _ in 0..3 {
        fired.extend(workers.store.queue().fire_schedules(1).await.unwrap());
    }
    assert_eq!(started(&fired), [good]);
    let words = skipped(&fired);
    assert_eq!(words.len(), 2);
    assert!(words.iter().all(|words| words.starts_with("the schedule cannot be read: ")), "{words:?}");
    let slots = workers.slots(broken).await;
    assert!(slots[0].failure_message.as_ref().unwrap().contains("full moon"), "{slots:?}");

    // It is tried again later, and runs when it can be read.
    let sql = format!("UPDATE jobs SET frequency = '0 * * * *' WHERE id = {broken}");
    db.store.connection().execute_unprepared(&sql).await.unwrap();
    assert!(started(&workers.look_after(TimeDelta::hours(1)).await).contains(&broken));
}

async fn a_slot_is_not_fired_again_when_the_clock_is_put_back(db: TestDatabase) {
    let workers = Workers::at(&db, "2026-01-01T00:59:50Z").await;
    let job = workers.job(&job_with("hourly", "0 * * * *", &json!({}))).await;
    assert_eq!(started(&workers.look_after(TimeDelta::seconds(10)).await), [job]);
    workers.project.cancel_job(job).await.unwrap();
    workers.clock.advance(TimeDelta::seconds(-10));
    workers.project.activate_job(job, false, workers.user).await.unwrap();
    workers.project.activate_job(job, true, workers.user).await.unwrap();
    assert!(workers.look_after(TimeDelta::seconds(10)).await.is_empty());
    assert_eq!(started(&workers.look_after(TimeDelta::hours(1)).await), [job]);
    assert_eq!(workers.slots(job).await.len(), 2);
}
