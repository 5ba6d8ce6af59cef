//! `GET P/jobs/{id}/tasks/{task}/logs/stream`.

use std::{collections::VecDeque, time::Duration};

use futures::stream::unfold;
use olake_shared::{
    domain::task::TaskId,
    events::Event,
    store::{ProjectStore, logs::search::LogFilter},
};
use poem::web::sse::Event as Sent;
use poem_openapi::Object;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep_until},
};

use crate::{
    auth::Auth,
    context::Context,
    problem::Problem,
    routes::{
        connections::test::LogLineItem,
        scope,
        tasks::{
            item::StatusWord,
            logs::{LevelWord, filter},
        },
    },
    streams::{EventAnswer, EventStream, Live, event},
};

/// How many lines are read at once.
const AT_ONCE: usize = 500;
/// How often the log is read while no event comes.
const NET: Duration = Duration::from_secs(1);

/// Whose log is followed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub job: i64,
    pub task: TaskId,
}

/// From where on, and which lines.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    pub cursor: Option<i64>,
    /// The cursor after the last line that the client has.
    pub last_event_id: Option<&'a str>,
    pub level: Option<LevelWord>,
    pub search: Option<&'a str>,
}

/// The data of the last event.
#[derive(Clone, Debug, Object)]
pub struct End {
    /// How the task ended.
    pub status: StatusWord,
}

struct State {
    live: Live,
    project: ProjectStore,
    target: Target,
    filter: LogFilter,
    cursor: i64,
    events: Receiver<Event>,
    /// What was read and not sent yet: at most [`AT_ONCE`] lines.
    ready: VecDeque<Sent>,
    ended: bool,
}

/// Follows a task's log.
pub async fn follow(
    context: &Context,
    auth: &Auth,
    project: &str,
    target: Target,
    from: From<'_>,
) -> EventAnswer<LogLineItem> {
    let events = context.events.subscribe();
    let cursor = match from.last_event_id.filter(|id| !id.is_empty()) {
        Some(id) => id
            .parse()
            .map_err(|_| Problem::bad_request("Last-Event-ID", "is none that this stream has given"))?,
        None => from.cursor.unwrap_or(0),
    };
    let filter = filter(from.level, from.search)?;
    let project = scope::project(context, project).await?;
    project.job_exists(target.job).await?;
    // A task that is not there is a 404, and no stream that ends.
    let start = project.follow_log(target.job, target.task, cursor, 1).await?;
    let cursor = start.lines.first().map_or(start.cursor, |(after, _)| after - 1);
    let live = Live::open(context, auth)?;
    let state = State { live, project, target, filter, cursor, events, ready: VecDeque::new(), ended: false };
    Ok(EventStream::new(unfold(state, next)))
}

async fn next(mut state: State) -> Option<(Sent, State)> {
    loop {
        if let Some(sent) = state.ready.pop_front() {
            return Some((sent, state));
        }
        if state.ended || !state.live.goes_on().await {
            return None;
        }
        let Target { job, task } = state.target;
        let read = match state.project.follow_log(job, task, state.cursor, AT_ONCE).await {
            Ok(read) => read,
            Err(error) => {
                // The client comes again with the id of the last line.
                tracing::warn!(task.id = %task, %error, "a log that is followed cannot be read");
                return None;
            }
        };
        let is_idle = read.lines.is_empty();
        state.cursor = read.cursor;
        let wanted = read.lines.into_iter().filter(|(_, line)| state.filter.wants(line));
        state.ready.extend(wanted.map(|(after, line)| event("line", after, &LogLineItem::from(line))));
        if let Some(status) = read.ended {
            state.ready.push_back(event("end", read.cursor, &End { status: status.into() }));
            state.ended = true;
        } else if is_idle {
            let State { live, events, .. } = &mut state;
            live.wait(news(task, events)).await?;
        }
    }
}

/// Returns when the log may have grown or the task may have ended.
async fn news(task: TaskId, events: &mut Receiver<Event>) {
    let net = Instant::now() + NET;
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) if event.task == task => return,
                Ok(_) => {}
                // Events were dropped: ours may be among them.
                Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => return sleep_until(net).await,
            },
            () = sleep_until(net) => return,
        }
    }
}
