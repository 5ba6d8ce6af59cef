//! Old spellings of paths, turned into today's before routing.
//!
//! The contract filters jobs by a last path segment: `…/jobs/dest_id="1"` and `…/jobs/source_id="1"`, the quotes
//! optional, URL-encoded or not. No router has such segments, so they become `…/jobs?dest_id=1`. To add another
//! spelling: one more case in [`query_form`], with a test.

use poem::{
    Request,
    http::{Method, Uri},
};

/// Gives a request the path and query that the routes know. Everything but the old spellings stays as it is.
pub fn rewrite(request: &mut Request) {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return;
    }
    let Some(form) = query_form(request.uri().path(), request.uri().query()) else { return };
    let mut parts = request.uri().clone().into_parts();
    // A text that is no path and query cannot come of one that was: then the request stays as it is, a 404.
    let Ok(path_and_query) = form.parse() else { return };
    parts.path_and_query = Some(path_and_query);
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// The path and query that stand for an old spelling; none if it is not one.
fn query_form(path: &str, query: Option<&str>) -> Option<String> {
    let (collection, last) = path.rsplit_once('/')?;
    let mut before = collection.strip_prefix("/api/v1/project/")?.split('/');
    let (Some(_project), Some("jobs"), None) = (before.next(), before.next(), before.next()) else {
        return None;
    };
    let name = ["dest_id", "source_id"].into_iter().find(|name| last.starts_with(name))?;
    let rest = &last[name.len()..];
    let value =
        rest.strip_prefix('=').or_else(|| rest.strip_prefix("%3D")).or_else(|| rest.strip_prefix("%3d"))?;
    let value = unquoted(value);
    match query {
        Some(query) if !query.is_empty() => Some(format!("{collection}?{name}={value}&{query}")),
        _ => Some(format!("{collection}?{name}={value}")),
    }
}

fn unquoted(text: &str) -> &str {
    const QUOTES: [&str; 4] = ["\"", "%22", "'", "%27"];
    let text = QUOTES.iter().find_map(|quote| text.strip_prefix(quote)).unwrap_or(text);
    QUOTES.iter().find_map(|quote| text.strip_suffix(quote)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_of_the_contract_become_a_query() {
        for last in [
            "dest_id=\"1\"",
            "dest_id=1",
            "dest_id=%221%22",
            "dest_id%3D%221%22",
            "dest_id%3d1",
            "dest_id='1'",
        ] {
            let form = query_form(&format!("/api/v1/project/olake/jobs/{last}"), None);
            assert_eq!(form.as_deref(), Some("/api/v1/project/olake/jobs?dest_id=1"), "{last}");
        }
        let form = query_form("/api/v1/project/123/jobs/source_id=\"7\"", Some("limit=5"));
        assert_eq!(form.as_deref(), Some("/api/v1/project/123/jobs?source_id=7&limit=5"));
    }

    #[test]
    fn other_paths_stay_as_they_are() {
        for path in [
            "/api/v1/project/olake/jobs/5",
            "/api/v1/project/olake/jobs",
            "/api/v1/project/olake/jobs/5/dest_id=1",
            "/api/v1/project/olake/sources/dest_id=1",
            "/api/v1/project/olake/jobs/dest_ids=1",
            "/elsewhere/jobs/dest_id=1",
        ] {
            assert_eq!(query_form(path, None), None, "{path}");
        }
    }

    #[test]
    fn only_reads_are_rewritten() {
        let uri: Uri = "/api/v1/project/olake/jobs/dest_id=%221%22".parse().unwrap();
        let mut get = Request::builder().uri(uri.clone()).finish();
        rewrite(&mut get);
        assert_eq!(get.uri(), "/api/v1/project/olake/jobs?dest_id=1");
        let mut delete = Request::builder().method(Method::DELETE).uri(uri.clone()).finish();
        rewrite(&mut delete);
        assert_eq!(delete.uri(), &uri);
    }
}
