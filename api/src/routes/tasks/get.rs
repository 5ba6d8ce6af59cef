//! `GET P/tasks/{id}`: the whole story of a task.

use olake_shared::{
    domain::task::{TaskId, TaskStatus},
    json::parse_json,
    store::tasks::input::OneShotResult,
};
use poem_openapi::{Object, types::Any};
use serde_json::Value;

use super::item::{AttemptItem, TaskItem};
use crate::{
    context::Context,
    document::Document,
    envelope::{Answer, ok},
    problem::Problem,
    routes::{
        connections::{spec::Spec, test::ConnectionResult},
        jobs::difference,
        scope,
    },
};

/// The whole story of a task.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct TaskStory {
    #[oai(flatten)]
    pub task: TaskItem,
    /// Of a job's task: the job.
    pub job_id: Option<i64>,
    /// While it is queued and due: its place among the tasks of all projects that wait for the same kind of place on a
    /// worker. 1 is the next one; one with a `hold_reason` may be passed by those behind it.
    pub queue_position: Option<i64>,
    /// When a retry is due.
    pub not_before: Option<chrono::DateTime<chrono::Utc>>,
    /// The connector's own statistics, as it wrote them last.
    pub stats: Option<Any<Value>>,
    /// How many lines its log has.
    pub log_lines: i64,
    /// The runs of its connector, oldest first.
    pub attempts: Vec<AttemptItem>,
    /// What a spec, test, discover or difference found out; kept for 24 hours.
    pub result: Option<TaskResult>,
}

/// What a spec, test, discover or difference found out: one of these.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct TaskResult {
    /// Of a spec: the form.
    pub spec: Option<Spec>,
    /// Of a test: whether the config works.
    pub connection_result: Option<ConnectionResult>,
    /// Of a discover: the catalog.
    pub streams_config: Option<Document>,
    /// Of a difference: the catalog of the streams that differ, an empty object if none does.
    pub difference_streams: Option<Document>,
}

impl TaskResult {
    fn new(result: OneShotResult) -> Result<Self, Problem> {
        let mut shown =
            Self { spec: None, connection_result: None, streams_config: None, difference_streams: None };
        match &result {
            OneShotResult::Spec { spec } => shown.spec = Some(Spec::new(parsed(spec)?)),
            OneShotResult::Check { .. } => {
                shown.connection_result = Some(ConnectionResult::new(Some(&result), ""));
            }
            OneShotResult::Discover { catalog } => {
                shown.streams_config = Some(Document::native(parsed(catalog)?));
            }
            OneShotResult::Difference { catalog } => {
                shown.difference_streams = Some(Document::native(difference::shown(parsed(catalog)?)));
            }
        }
        Ok(shown)
    }
}

/// What a worker stored is JSON: it has parsed it.
fn parsed(text: &str) -> Result<Value, Problem> {
    parse_json(text).map_err(|error| Problem::internal(&error))
}

/// Tells the whole story of a task.
pub async fn get(context: &Context, project: &str, id: TaskId) -> Answer<TaskStory> {
    let project = scope::project(context, project).await?;
    let task = project.task(id).await?;
    let attempts = project.attempts(id).await?.into_iter().map(AttemptItem::from).collect();
    let result = project.one_shot_result(id).await?.map(TaskResult::new).transpose()?;
    let queue_position = match task.status {
        TaskStatus::Queued => project.queue_position(id).await?,
        _ => None,
    };
    let story = TaskStory {
        task: TaskItem::new(&task, context.store.clock().now()),
        job_id: task.job,
        queue_position,
        not_before: task.not_before,
        // Half a file can be stored while the connector writes it: then there are none to show.
        stats: task.stats.as_deref().and_then(|text| parse_json(text).ok()).map(Any),
        log_lines: task.log_lines,
        attempts,
        result,
    };
    ok(format!("{} {}", task.kind, task.status), story)
}
