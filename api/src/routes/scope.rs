//! The project of a path.

use olake_shared::store::ProjectStore;

use crate::{context::Context, problem::Problem};

/// The store as the project of a path sees it.
///
/// # Errors
/// 404 for an unknown project, also for a text that could be none.
pub async fn project(context: &Context, id: &str) -> Result<ProjectStore, Problem> {
    let possible =
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !possible {
        return Err(Problem::not_found("project"));
    }
    Ok(context.project(id).await?)
}
