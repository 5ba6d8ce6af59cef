//! What every handler may use. Handlers take `Data<&Context>`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chrono::TimeDelta;
use olake_shared::{
    bell::Bell,
    config::{Config, SignupMode},
    domain::{
        project::ProjectId,
        task::{TaskKind, TaskStatus},
        version::ConnectorVersion,
    },
    events::{Event, Events, What},
    store::{
        ProjectStore, Store, StoreError,
        tasks::{Ended, chain::Followed, create::Created},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{auth::throttle::Throttle, streams::Places};

/// The store, the bell, the events and the settings of this process. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub store: Store,
    pub bell: Bell,
    pub events: Events,
    pub settings: Arc<Settings>,
    /// Failed logins, counted.
    pub throttle: Arc<Throttle>,
    /// Places for event streams.
    pub streams: Places,
    /// Cancelled when the server begins to stop: who waits, stops waiting.
    pub shutdown: CancellationToken,
}

/// Who may sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signup {
    /// Everybody who can reach the server.
    Open,
    /// Nobody: an administrator makes accounts.
    Closed,
}

/// What the configuration decides about the API.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a login lasts.
    pub session_ttl: TimeDelta,
    /// Whether browsers send the session's cookie over HTTPS only.
    pub cookie_secure: bool,
    /// Who may sign up.
    pub signup: Signup,
    /// Whether only this machine can reach the server: then it answers to the names of this machine alone.
    pub loopback_only: bool,
    /// The origins whose pages may call this server from a browser.
    pub cors_origins: Vec<String>,
    /// How long an interactive call waits for its task.
    pub deadlines: Deadlines,
    /// Whether webhooks may lead to this machine or to a private network.
    pub allow_private_webhooks: bool,
    /// The versions that forms offer for a connector that no worker runs or ever ran.
    pub fallback_versions: Vec<ConnectorVersion>,
    /// The folder of the web UI's built files, if it is served.
    pub ui_dir: Option<PathBuf>,
}

/// How long an interactive call waits for its task, by kind.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    pub spec: Duration,
    pub check: Duration,
    pub discover: Duration,
    pub difference: Duration,
    pub validate: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_ttl: TimeDelta::hours(720),
            cookie_secure: false,
            signup: Signup::Closed,
            loopback_only: false,
            cors_origins: vec!["http://localhost:8000".into()],
            deadlines: Deadlines {
                spec: Duration::from_secs(60),
                check: Duration::from_secs(180),
                discover: Duration::from_secs(1800),
                difference: Duration::from_secs(25),
                validate: Duration::from_secs(8),
            },
            allow_private_webhooks: false,
            fallback_versions: vec![ConnectorVersion::new(0, 9, 4)],
            ui_dir: None,
        }
    }
}

impl Settings {
    /// The settings of a configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            session_ttl: TimeDelta::from_std(config.server.session_ttl).unwrap_or(TimeDelta::MAX),
            cookie_secure: config.server.cookie_secure,
            signup: match config.signup.mode {
                SignupMode::Open => Signup::Open,
                SignupMode::Closed => Signup::Closed,
            },
            loopback_only: config.server.listen.is_loopback(),
            cors_origins: config.server.cors_origins.clone(),
            deadlines: Deadlines {
                spec: config.deadlines.spec,
                check: config.deadlines.check,
                discover: config.deadlines.discover,
                difference: config.deadlines.difference,
                validate: config.deadlines.validate,
            },
            allow_private_webhooks: config.notifications.allow_private,
            fallback_versions: config.versions.fallback.clone(),
            ui_dir: config.server.ui_dir.clone(),
        }
    }

    /// Whether pages of this origin may call the server.
    pub fn allows_origin(&self, origin: &str) -> bool {
        self.cors_origins.iter().any(|allowed| allowed == origin)
    }
}

impl Deadlines {
    /// The deadline of an interactive kind; other kinds are never waited for.
    pub fn of(&self, kind: TaskKind) -> Duration {
        match kind {
            TaskKind::Spec => self.spec,
            TaskKind::Check => self.check,
            TaskKind::Difference => self.difference,
            TaskKind::Validate => self.validate,
            _ => self.discover,
        }
    }
}

impl Context {
    /// A context of these parts.
    pub fn new(
        store: Store,
        bell: Bell,
        events: Events,
        settings: Settings,
        shutdown: CancellationToken,
    ) -> Self {
        let settings = Arc::new(settings);
        Self { store, bell, events, settings, throttle: Arc::default(), streams: Places::default(), shutdown }
    }

    /// The store as a project of a request's path sees it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown project.
    pub async fn project(&self, id: &str) -> Result<ProjectStore, StoreError> {
        self.store.project(&ProjectId::new(id)).await
    }

    /// Tells the workers and whoever waits that there is a new task. To be called after every store call that answers
    /// [`Created`].
    pub fn announce_created(&self, created: &Created) {
        self.bell.ring(created.class, created.task);
        self.events.publish(Event {
            task: created.task,
            project: created.project.clone(),
            job: created.job,
            what: What::Created,
        });
    }

    /// Tells the task's worker of a wish to cancel, or whoever waits of its end and of what followed from it. To be called after every store call
    /// that answers [`Ended`].
    pub fn announce_ended(&self, ended: &Ended) {
        let what = if ended.status.is_end() { What::Status(ended.status) } else { What::CancelWish };
        self.events.publish(Event { task: ended.task, project: ended.project.clone(), job: ended.job, what });
        for followed in &ended.then {
            match followed {
                Followed::Ended(ended) => self.announce_ended(ended),
                Followed::Promoted(created) => {
                    self.bell.ring(created.class, created.task);
                    self.events.publish(Event {
                        task: created.task,
                        project: created.project.clone(),
                        job: created.job,
                        what: What::Status(TaskStatus::Queued),
                    });
                }
            }
        }
    }
}
