//! `GET P/events`.

use std::sync::atomic::{AtomicU64, Ordering};

use futures::stream::unfold;
use olake_shared::{
    domain::project::ProjectId,
    events::{Event, What},
};
use poem::web::sse::Event as Sent;
use poem_openapi::{Enum, Object};
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    watch,
};

use crate::{
    auth::Auth,
    context::Context,
    routes::{scope, tasks::item::StatusWord},
    streams::{EventAnswer, EventStream, Live, event},
};

/// What is wanted of the events.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Also statistics and log lines.
    pub progress: bool,
    /// The client was here before, and may have missed some.
    pub again: bool,
}

/// What happened to a task.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct TaskEvent {
    /// The task.
    pub task_id: String,
    /// Its job; absent for a call of a connector.
    pub job_id: Option<i64>,
    /// What happened.
    pub what: WhatWord,
    /// Its status, when that has changed.
    pub status: Option<StatusWord>,
}

/// The kinds of what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "TaskEventKind", rename_all = "snake_case")]
pub enum WhatWord {
    /// It was made.
    Created,
    /// Its status changed.
    Status,
    /// A person wishes that it ends.
    CancelRequested,
    /// It wrote statistics or log lines.
    Progress,
}

/// The data of a `resync`.
#[derive(Clone, Debug, Object)]
pub struct Resync {
    /// Always true: read again what is shown.
    pub resync: bool,
}

impl TaskEvent {
    /// None for what is no news of a task.
    fn of(event: &Event) -> Option<Self> {
        let (what, status) = match event.what {
            What::Created => (WhatWord::Created, None),
            What::Status(status) => (WhatWord::Status, Some(status.into())),
            What::CancelWish => (WhatWord::CancelRequested, None),
            What::Progress => (WhatWord::Progress, None),
            What::Recorded | What::Notification => return None,
        };
        Some(Self { task_id: event.task.to_string(), job_id: event.job, what, status })
    }
}

struct State {
    live: Live,
    project: ProjectId,
    wanted: Wanted,
    events: Receiver<Event>,
    gaps: watch::Receiver<u64>,
}

/// What came.
enum News {
    Task(TaskEvent),
    Gap,
    End,
}

/// Follows the events of a project.
pub async fn follow(context: &Context, auth: &Auth, project: &str, wanted: Wanted) -> EventAnswer<TaskEvent> {
    // Before anything else, so that nothing is missed after the client knows that it listens.
    let events = context.events.subscribe();
    let gaps = context.events.gaps();
    let project = scope::project(context, project).await?.project().clone();
    let state = State { live: Live::open(context, auth)?, project, wanted, events, gaps };
    Ok(EventStream::new(unfold(state, next)))
}

async fn next(mut state: State) -> Option<(Sent, State)> {
    if std::mem::take(&mut state.wanted.again) {
        return Some((resync(), state));
    }
    let State { live, project, wanted, events, gaps } = &mut state;
    let sent = match live.wait(news(project, *wanted, events, gaps)).await? {
        News::Task(task) => event("task", next_id(), &task),
        News::Gap => resync(),
        News::End => return None,
    };
    Some((sent, state))
}

async fn news(
    project: &ProjectId,
    wanted: Wanted,
    events: &mut Receiver<Event>,
    gaps: &mut watch::Receiver<u64>,
) -> News {
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) if event.project == *project => match TaskEvent::of(&event) {
                    Some(task) if wanted.progress || task.what != WhatWord::Progress => return News::Task(task),
                    _ => {}
                },
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return News::Gap,
                Err(RecvError::Closed) => return News::End,
            },
            // An error says that nobody can tell of gaps any more, as the events end.
            gap = gaps.changed() => return if gap.is_ok() { News::Gap } else { News::End },
        }
    }
}

fn resync() -> Sent {
    event("resync", next_id(), &Resync { resync: true })
}

/// Events are not kept, so an id only tells that the client was here.
fn next_id() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
