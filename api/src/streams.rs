//! Server-sent events: answers that stay open and tell what happens.
//!
//! Invariants: at most [`MOST`] of them at a time; each ends with its session (looked at every [`SESSION`]) and when the
//! server stops; each is drawn from, so that a slow client holds back its own stream and nothing grows.
//!
//! To add one: [`Live::open`] in the handler, a stream that waits by [`Live::wait`], and [`EventStream`] as the answer.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream::BoxStream};
use poem::{
    IntoResponse, Response,
    web::sse::{Event, SSE},
};
use poem_openapi::{
    ApiResponse,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{ToJSON, Type},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use crate::{auth::Auth, context::Context, problem::Problem};

/// How many streams are open at most.
pub const MOST: usize = 256;
/// How often the session of a stream is looked at.
pub const SESSION: Duration = Duration::from_secs(10);
/// How often a stream without news shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

const MEDIA_TYPE: &str = "text/event-stream";

/// The places for streams. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Places {
    /// All places that are free, for as long as the answer lives: for tests of a full server.
    pub fn take_all(&self) -> Option<OwnedSemaphorePermit> {
        let free = u32::try_from(self.0.available_permits()).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(free).ok()
    }
}

/// An open stream: its place, and what ends it.
pub struct Live {
    context: Context,
    token: String,
    look_at: Instant,
    _place: OwnedSemaphorePermit,
}

impl Live {
    /// Opens a stream for a session.
    ///
    /// # Errors
    /// 503 when there are too many.
    pub fn open(context: &Context, auth: &Auth) -> Result<Self, Problem> {
        let place = Arc::clone(&context.streams.0)
            .try_acquire_owned()
            .map_err(|_| Problem::unavailable("too many event streams are open"))?;
        Ok(Self {
            context: context.clone(),
            token: auth.token().to_owned(),
            look_at: Instant::now() + SESSION,
            _place: place,
        })
    }

    /// Whether the stream may go on. To be asked before each piece of work.
    pub async fn goes_on(&mut self) -> bool {
        if self.context.shutdown.is_cancelled() {
            return false;
        }
        if Instant::now() < self.look_at {
            return true;
        }
        self.look_at = Instant::now() + SESSION;
        // A session that cannot be looked at is none: the client comes again, and is told why.
        matches!(self.context.store.session_user(&self.token).await, Ok(Some(_)))
    }

    /// Waits for `news`. None: the stream has to end.
    pub async fn wait<T>(&mut self, news: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(news);
        loop {
            if !self.goes_on().await {
                return None;
            }
            tokio::select! {
                () = self.context.shutdown.cancelled() => return None,
                news = &mut news => return Some(news),
                () = sleep_until(self.look_at) => {}
            }
        }
    }
}

/// An answer of events whose data is a `T`.
pub struct EventStream<T> {
    events: BoxStream<'static, Event>,
    data: PhantomData<T>,
}

/// What handlers of streams answer.
pub type EventAnswer<T> = Result<EventStream<T>, Problem>;

impl<T> EventStream<T> {
    /// An answer of these events.
    pub fn new(events: impl Stream<Item = Event> + Send + 'static) -> Self {
        Self { events: events.boxed(), data: PhantomData }
    }
}

/// An event of this name and id with JSON data.
pub fn event(name: &str, id: impl ToString, data: &impl ToJSON) -> Event {
    Event::message(data.to_json_string()).event_type(name).id(id.to_string())
}

impl<T> IntoResponse for EventStream<T>
where
    T: Send,
{
    fn into_response(self) -> Response {
        SSE::new(self.events).keep_alive(KEEP_ALIVE).into_response()
    }
}

impl<T: Type + ToJSON> ApiResponse for EventStream<T> {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "Server-sent events; this is the data of one",
            status: Some(200),
            status_range: None,
            content: vec![MetaMediaType { content_type: MEDIA_TYPE, schema: T::schema_ref() }],
            headers: vec![],
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}
