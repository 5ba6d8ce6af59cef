//! `POST` and `GET P/jobs/{id}/cancel`.

use olake_shared::domain::task::TaskStatus;
use poem_openapi::Object;

use crate::{
    context::Context,
    envelope::{Answer, ok},
    problem::Problem,
    routes::scope,
};

/// What became of the wish.
#[derive(Clone, Debug, Object)]
pub struct Cancelled {
    /// In words.
    pub message: String,
}

/// Whether a path is that of a cancel.
pub fn is_path(path: &str) -> bool {
    let parts = path.strip_prefix("/api/v1/project/").unwrap_or_default().split('/').collect::<Vec<_>>();
    matches!(parts.as_slice(), [_, "jobs", _, "cancel"])
}

/// Refuses a GET that another site's page makes: a link or an image there must not end a sync.
///
/// # Errors
/// 403.
pub fn refuse_foreign_page(sec_fetch_site: Option<&str>) -> Result<(), Problem> {
    match sec_fetch_site {
        Some(site) if site.eq_ignore_ascii_case("cross-site") => {
            Err(Problem::forbidden("the request comes from another site's page"))
        }
        _ => Ok(()),
    }
}

/// Wishes that the active sync of a job ends. A queued one is cancelled at once, a running one when its connector is
/// gone.
pub async fn cancel(context: &Context, project: &str, id: i64) -> Answer<Cancelled> {
    let ended = scope::project(context, project).await?.cancel_job(id).await?;
    context.announce_ended(&ended);
    let message = match ended.status {
        TaskStatus::Running => format!("task {} is being cancelled", ended.task),
        _ => format!("task {} is cancelled", ended.task),
    };
    ok(message.clone(), Cancelled { message })
}
