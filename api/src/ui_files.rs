//! The web UI's built files, served beside the API on one port (`OLAKE_UI_DIR`).
//!
//! Every GET outside `/api` and the API's own paths answers a file of the folder, or `index.html`: the UI's own routes
//! (`/login`, `/jobs/5/history`) are no files, and must survive a reload.
//!
//! Invariants: nothing outside the folder is ever read, whatever the path says and wherever a link in the folder leads;
//! hidden files are not served; a browser asks again whether a file has changed, except for those whose name changes with
//! their content.

use std::{
    collections::HashSet,
    fs::Metadata,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::UNIX_EPOCH,
};

use chrono::{DateTime, Utc};
use percent_encoding::percent_decode_str;
use poem::{
    Body, Endpoint, IntoResponse, Request, Response,
    http::{HeaderValue, Method, StatusCode, header},
};
use poem_openapi::OpenApi;

use crate::{problem::Problem, routes::Apis};

const INDEX: &str = "index.html";

/// The longest path that can name a file.
const LONGEST_PATH: usize = 1_024;

/// Paths of the server itself that no operation has.
const OTHERS: [&str; 2] = ["/docs", "/openapi.yaml"];

/// The folder of the UI's files.
#[derive(Clone, Debug)]
pub struct UiFiles {
    /// Without links in it.
    root: Arc<Path>,
}

impl UiFiles {
    /// The files of a folder; none, and a line in the log, if it cannot be read.
    pub fn open(folder: &Path) -> Option<Self> {
        match folder.canonicalize() {
            Ok(root) => Some(Self { root: root.into() }),
            Err(error) => {
                tracing::error!(folder = %folder.display(), %error, "the web UI's files cannot be served");
                None
            }
        }
    }

    /// The file that a path names, or else `index.html`.
    async fn find(&self, path: &str) -> Option<(PathBuf, Metadata)> {
        if let Some(relative) = relative(path)
            && let Some(found) = self.inside(&relative).await
        {
            return Some(found);
        }
        self.inside(Path::new(INDEX)).await
    }

    /// A file, if it is one and lies in the folder once all links are followed.
    async fn inside(&self, relative: &Path) -> Option<(PathBuf, Metadata)> {
        let file = tokio::fs::canonicalize(self.root.join(relative)).await.ok()?;
        if !file.starts_with(&self.root) {
            return None;
        }
        let metadata = tokio::fs::metadata(&file).await.ok()?;
        metadata.is_file().then_some((file, metadata))
    }

    async fn answer(&self, request: &Request) -> Response {
        let Some((file, metadata)) = self.find(request.uri().path()).await else {
            return Problem::not_found(request.uri().path()).into_response();
        };
        let (tag, modified) = (tag(&metadata), modified(&metadata));
        let mut response = if is_known(request, &tag, modified) {
            StatusCode::NOT_MODIFIED.into_response()
        } else if *request.method() == Method::HEAD {
            Response::builder().content_type(media_type(&file)).finish()
        } else {
            match tokio::fs::read(&file).await {
                Ok(bytes) => Response::builder().content_type(media_type(&file)).body(Body::from(bytes)),
                Err(error) => return Problem::internal(&error).into_response(),
            }
        };
        let headers = response.headers_mut();
        let cache =
            if is_named_by_content(&file) { "public, max-age=31536000, immutable" } else { "no-cache" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("frame-ancestors 'self'"));
        if let Ok(value) = HeaderValue::from_str(&tag) {
            headers.insert(header::ETAG, value);
        }
        if let Ok(value) = HeaderValue::from_str(&modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
            headers.insert(header::LAST_MODIFIED, value);
        }
        response
    }
}

pub(crate) async fn ui_files<E>(files: Option<&UiFiles>, next: E, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    match files {
        Some(files) if is_for_the_ui(request.method(), request.uri().path()) => {
            Ok(files.answer(&request).await)
        }
        _ => next.call(request).await,
    }
}

/// Whether a request is none of the API's.
fn is_for_the_ui(method: &Method, path: &str) -> bool {
    static OWN: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let paths = Apis::meta().into_iter().flat_map(|api| api.paths);
        let read =
            paths.filter(|path| path.operations.iter().any(|operation| operation.method == Method::GET));
        read.map(|path| path.path.clone()).collect()
    });
    let below =
        |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    matches!(*method, Method::GET | Method::HEAD)
        && !below("/api")
        && !OTHERS.iter().any(|own| below(own))
        && !OWN.contains(path)
}

/// The path of a file below the folder; none for a text that can be none.
fn relative(path: &str) -> Option<PathBuf> {
    if path.len() > LONGEST_PATH {
        return None;
    }
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let parts: Vec<&str> = decoded.split('/').filter(|part| !part.is_empty()).collect();
    let is_plain = |part: &&str| !part.starts_with('.') && !part.contains(['\\', '\0', ':']);
    (!parts.is_empty() && parts.iter().all(is_plain)).then(|| parts.iter().collect())
}

/// Changes whenever the file was written.
fn tag(metadata: &Metadata) -> String {
    let written = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("\"{:x}-{:x}\"", metadata.len(), written.unwrap_or_default().as_micros())
}

/// When the file was written, in whole seconds as headers have them.
fn modified(metadata: &Metadata) -> DateTime<Utc> {
    let written = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let seconds = i64::try_from(written.unwrap_or_default().as_secs()).unwrap_or_default();
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// Whether the browser has this very file already.
fn is_known(request: &Request, tag: &str, modified: DateTime<Utc>) -> bool {
    if let Some(known) = request.header(header::IF_NONE_MATCH) {
        let plain = |text: &str| text.trim().trim_start_matches("W/").to_owned();
        return known.split(',').any(|known| known.trim() == "*" || plain(known) == tag);
    }
    request
        .header(header::IF_MODIFIED_SINCE)
        .and_then(|since| DateTime::parse_from_rfc2822(since).ok())
        .is_some_and(|since| modified <= since)
}

/// Whether a name holds a hash of the content, as bundlers write them: `assets/index-B3f9dK2a.js`.
fn is_named_by_content(file: &Path) -> bool {
    let in_assets = file.parent().and_then(Path::file_name).is_some_and(|folder| folder == "assets");
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let hash = stem.len().checked_sub(9).and_then(|at| stem.get(at..));
    in_assets
        && hash.is_some_and(|hash| {
            let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            hash.starts_with('-') && hash.bytes().all(part)
        })
}

fn media_type(file: &Path) -> &'static str {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apis_own_paths_are_not_the_uis() {
        for own in [
            "/api",
            "/api/v1/nowhere",
            "/docs",
            "/docs/x",
            "/openapi.yaml",
            "/health",
            "/ready",
            "/auth",
            "/auth/check",
            "/telemetry-id",
        ] {
            assert!(!is_for_the_ui(&Method::GET, own), "{own}");
        }
        for ui in ["/", "/login", "/signup", "/jobs/5/history", "/apis", "/assets/index-B3f9dK2a.js"] {
            assert!(is_for_the_ui(&Method::GET, ui), "{ui}");
            assert!(!is_for_the_ui(&Method::POST, ui), "{ui}");
        }
    }

    #[test]
    fn a_path_never_leads_out_of_the_folder() {
        assert_eq!(relative("/assets/a%20b.js"), Some(PathBuf::from("assets/a b.js")));
        for bad in [
            "/",
            "/../etc/passwd",
            "/%2e%2e/etc/passwd",
            "/a/..%2f..%2fetc/passwd",
            "/.env",
            "/a/.git/config",
            "/a%5c..%5cb",
            "/%00",
            "/%ff",
            "/c:/x",
        ] {
            assert_eq!(relative(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_names_with_a_hash_are_kept_for_long() {
        assert!(is_named_by_content(Path::new("/ui/assets/index-B3f9dK2a.js")));
        for name in ["/ui/assets/index.js", "/ui/index-B3f9dK2a.js", "/ui/assets/a.js", "/ui/index.html"] {
            assert!(!is_named_by_content(Path::new(name)), "{name}");
        }
    }
}
