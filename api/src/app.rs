//! The whole HTTP stack: routes, and what happens to every request around them.

use std::sync::Arc;

use poem::{
    Endpoint, EndpointExt, Request, Response, Route,
    endpoint::{BoxEndpoint, make_sync},
    get,
    middleware::{CatchPanic, Compression, CookieJarManager},
    web::Html,
};
use poem_openapi::OpenApiService;
use serde_json::Value;

use crate::{
    context::Context,
    layers::{
        access_log::access_log,
        body_limit::body_limit,
        boxed::Boxed,
        compression::compression,
        cors::cors,
        errors,
        host::host,
        lists::{Lists, lists as tag_lists},
        request_id::request_id,
    },
    openapi,
    profile::profile,
    rewrite::rewrite,
    routes::{self, Apis},
    ui_files::{UiFiles, ui_files},
};

/// The server that the OpenAPI document names.
const SERVER: &str = "http://localhost:8080";

const INFO: &str = r#"The control plane of OLake: sources, destinations, the jobs that move rows between them, and their tasks.

**Signing in.** `POST /login` with `username` and `password` answers a token as `data.token` and sets it as a cookie. Send
it as `Authorization: Bearer <token>`, or let the browser send the cookie. `POST /logout` ends the session.

**Answers.** Success is `{"success": true, "message": …, "data": …}`, an error `{"success": false, "message": …}` with the
status that says what kind it is. Every answer has an `X-Request-Id`. Times are RFC 3339 in UTC. The projects `olake` and
`123` exist from the start.

**Documents.** `config` and `streams_config` are taken as a JSON object or as a string that holds one, and echoed in the
form in which they came. Passwords and other secrets in a config are answered as sealed texts (`sealed:…`); every
operation that takes a config takes them back as the secrets they stand for.

**Jobs of a source or destination.** `GET /api/v1/project/{projectid}/jobs?dest_id=1` and `?source_id=1`. The older
spellings with the filter as the last part of the path, `…/jobs/dest_id="1"` and `…/jobs/source_id="1"` (the quotes
optional, URL-encoded or not), mean the same.

**GET with a body.** Some GET operations take their parameters as a JSON body as well; what is in the body wins. A config is
taken from the body alone: in a query string, which ends in logs, it is refused.

**Lists that are polled.** The lists of jobs, sources and destinations carry a weak `ETag`. A `GET` with `If-None-Match`
is a 304 without a body as long as nothing of the project has changed.

**Concurrent changes.** Items carry an `ETag`. A `PUT` or `DELETE` of an item with `If-Match` changes just that revision, and
is a 412 otherwise. So is the `PUT` of a job's state and of the notification settings.
"#;

/// The operations and their documentation.
pub fn service() -> OpenApiService<Apis, ()> {
    OpenApiService::new(routes::all(), "OLake", env!("CARGO_PKG_VERSION")).description(INFO).server(SERVER)
}

/// The OpenAPI document.
pub fn document() -> Value {
    openapi::exact(&service().spec())
}

/// The OpenAPI document as YAML: what `openapi.yaml` holds.
pub fn spec_yaml() -> String {
    openapi::yaml(&document())
}

/// The whole stack. Answers every request, and never with an error of the framework's own.
///
/// Layers are boxed in groups: each holds the future of the one inside, and in a debug build sixteen of them in each
/// other fill the stack of a thread.
pub fn app(context: Context) -> BoxEndpoint<'static, Response> {
    let settings = Arc::clone(&context.settings);
    let named = Arc::clone(&settings);
    let ui = settings.ui_dir.as_deref().and_then(UiFiles::open);
    let lists = Lists::default();
    let service = service();
    Route::new()
        .nest("/docs", docs(&page(&service)))
        .at("/openapi.yaml", openapi_yaml(spec_yaml()))
        .nest("/", service)
        .with(Boxed)
        .around(|next, request| async move { profile(next, request).await })
        .with(Boxed)
        .around(move |next, request| {
            let lists = lists.clone();
            async move { tag_lists(&lists, next, request).await }
        })
        .with(Boxed)
        .with(CookieJarManager::new())
        .data(context)
        .with(Boxed)
        .around(|next, request| async move { body_limit(next, request).await })
        .before(|mut request: Request| async move {
            rewrite(&mut request);
            Ok(request)
        })
        .with(Boxed)
        .around(|next, request| async move { errors::errors(next, request).await })
        .with(CatchPanic::new().with_handler(errors::panicked))
        .with(Boxed)
        .around(move |next, request| {
            let ui = ui.clone();
            async move { ui_files(ui.as_ref(), next, request).await }
        })
        .around(move |next, request| {
            let settings = Arc::clone(&settings);
            async move { cors(&settings, next, request).await }
        })
        .with(Boxed)
        .around(move |next, request| {
            let settings = Arc::clone(&named);
            async move { host(&settings, next, request).await }
        })
        .around(|next, request| async move { access_log(next, request).await })
        .around(|next, request| async move { request_id(next, request).await })
        .with(Boxed)
        // It unpacks requests; answers are packed by the layer around it.
        .with(Compression::new())
        .around(|next, request| async move { compression(next, request).await })
        .map_to_response()
        .boxed()
}

/// The page that shows the document, which it holds in itself.
fn page(service: &OpenApiService<Apis, ()>) -> String {
    service.swagger_ui_html().replacen(&service.spec(), &document().to_string(), 1)
}

fn docs(page: &str) -> impl Endpoint + use<> {
    let page = page.replacen("<title>Swagger UI</title>", "<title>OLake API</title>", 1);
    Route::new().at("/", get(make_sync(move |_| Html(page.clone()))))
}

fn openapi_yaml(yaml: String) -> impl Endpoint {
    get(make_sync(move |_| Response::builder().content_type("application/yaml").body(yaml.clone())))
}
