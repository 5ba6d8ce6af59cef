//! `GET P/jobs/{id}`.

use chrono::{DateTime, Utc};
use olake_shared::{domain::frequency::Frequency, store::jobs::Job};

use super::item::JobItem;
use crate::{
    context::Context,
    envelope::{TaggedAnswer, tagged},
    routes::{schedules::preview::SHOWN, scope},
};

/// Shows one job.
pub async fn get(context: &Context, project: &str, id: i64) -> TaggedAnswer<JobItem> {
    let job = scope::project(context, project).await?.job(id).await?;
    let (message, revision) = (format!("job '{}'", job.name), job.revision);
    let next_runs = next_runs(&job, context.store.clock().now());
    let item = JobItem { next_runs: Some(next_runs), ..JobItem::from(job) };
    tagged(message, item, revision)
}

/// The next slots of an active job. A schedule that cannot be read has none, and must not hide the job.
fn next_runs(job: &Job, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    if !job.activate {
        return Vec::new();
    }
    Frequency::parse(&job.frequency, job.advanced_settings.time_zone.as_deref())
        .map(|frequency| frequency.next_times(now, SHOWN))
        .unwrap_or_default()
}
