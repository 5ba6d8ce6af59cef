//! One line for each request. The path is logged without its query string, which may hold what no log should.

use std::time::Instant;

use poem::{Endpoint, Request, Response};
use poem_openapi::OperationId;

/// No path of ours is longer; a stranger's must not fill the log.
const LONGEST: usize = 512;

pub(crate) async fn access_log<E>(next: E, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    let start = Instant::now();
    let method = request.method().clone();
    let path = shortened(request.uri().path()).to_owned();
    let response = next.call(request).await?;
    let status = response.status().as_u16();
    let operation = response.data::<OperationId>().map_or("-", |id| id.0);
    let ms = start.elapsed().as_secs_f64() * 1_000.0;
    let ms = (ms * 10.0).round() / 10.0;
    // Probes come every few seconds and say nothing.
    if matches!(path.as_str(), "/health" | "/ready") && status == 200 {
        tracing::debug!(%method, path, operation, status, ms, "answered");
    } else {
        tracing::info!(%method, path, operation, status, ms, "answered");
    }
    Ok(response)
}

fn shortened(path: &str) -> &str {
    &path[..path.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_is_cut() {
        assert_eq!(shortened("/health"), "/health");
        assert_eq!(shortened(&"/x".repeat(5_000)).len(), 512);
        assert_eq!(shortened(&format!("/{}", "é".repeat(5_000))).len(), 511);
    }
}
