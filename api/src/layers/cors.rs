//! CORS by a list of origins.
//!
//! An origin in the list gets its own name back and may send the cookie; any other gets no CORS header at all, and its
//! browser refuses the page. The answer itself is the same for both: CORS protects people's browsers, not the server.

use poem::{
    Endpoint, Request, Response,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
};

use crate::context::Settings;

const METHODS: &str = "GET, POST, PUT, DELETE, OPTIONS";
const REQUEST_HEADERS: &str = "Origin, Content-Type, Accept, Authorization, X-OLake-Profile, Prefer, If-Match, If-None-Match, Last-Event-ID, Range";
const EXPOSED_HEADERS: &str = "Content-Disposition, ETag, Retry-After, X-Request-Id, Link, Location";
/// Seconds for which a browser may remember a preflight.
const MAX_AGE: &str = "600";

pub(crate) async fn cors<E>(settings: &Settings, next: E, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.filter(|origin| origin.to_str().is_ok_and(|origin| settings.allows_origin(origin)));
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ORIGIN)
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        Response::builder().status(StatusCode::NO_CONTENT).finish()
    } else {
        next.call(request).await?
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = allowed {
        allow(headers, origin, preflight);
    }
    Ok(response)
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue, preflight: bool) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let mut insert = |name, value| headers.insert(name, HeaderValue::from_static(value));
    insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
    if preflight {
        insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    } else {
        insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    }
}
