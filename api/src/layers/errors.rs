//! Whatever goes wrong is answered in the envelope: unknown paths, wrong methods, refused parameters, panics. Nothing
//! of the framework's own texts reaches a client.

use std::{any::Any, collections::HashMap, sync::LazyLock};

use poem::{
    Endpoint, IntoResponse, Request, Response,
    error::{MethodNotAllowedError, NotFoundError, ReadBodyError},
};
use poem_openapi::{
    OpenApi, OperationId,
    error::{ParseParamError, ParsePathError, ParseRequestPayloadError},
    registry::MetaParamIn,
};

use crate::{
    json::reason,
    problem::{self, Problem},
    routes::Apis,
};

pub(crate) async fn errors<E>(next: E, request: Request) -> poem::Result<Response>
where
    E: Endpoint,
{
    let uri = request.uri();
    let path = uri.path().to_owned();
    // PostgreSQL has no place for it in a text, so no name or id of ours can hold one.
    if path.contains("%00") || uri.query().is_some_and(|query| query.contains("%00")) {
        return Ok(Problem::bad_request("path", "it holds a NUL character").into_response());
    }
    match next.call(request).await {
        Ok(response) => Ok(response.into_response()),
        Err(error) => Ok(envelope(error, &path)),
    }
}

fn envelope(error: poem::Error, path: &str) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    let operation = error.data::<OperationId>().copied();
    let mut response = if error.is::<MethodNotAllowedError>() {
        problem::method_not_allowed()
    } else {
        problem_of(&error, operation, path).into_response()
    };
    if let Some(operation) = operation {
        response.set_data(operation);
    }
    response
}

fn problem_of(error: &poem::Error, operation: Option<OperationId>, path: &str) -> Problem {
    if error.is::<NotFoundError>() {
        return Problem::not_found(path);
    }
    if let Some(error) = error.downcast_ref::<ParsePathError>() {
        let name = operation.and_then(|operation| path_parameter(operation, error.name)).unwrap_or("path");
        return Problem::bad_request(name, reason(&error.reason));
    }
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return Problem::bad_request(error.name, reason(&error.reason));
    }
    if let Some(error) = error.downcast_ref::<ParseRequestPayloadError>() {
        return Problem::bad_request("body", reason(&error.reason));
    }
    if error.is::<ReadBodyError>() {
        return Problem::bad_request("body", "it ended early");
    }
    match error.status().as_u16() {
        404 => Problem::not_found(path),
        415 => Problem::unsupported_media_type(),
        status if status < 500 => Problem::bad_request("request", reason(&error.to_string())),
        _ => Problem::internal(error),
    }
}

/// The name of a path's parameter. The framework knows it by its place only: `param1` is the second one.
fn path_parameter(operation: OperationId, place: &str) -> Option<&'static str> {
    static NAMES: LazyLock<HashMap<&'static str, Vec<String>>> = LazyLock::new(|| {
        let paths = Apis::meta().into_iter().flat_map(|api| api.paths);
        let operations = paths.flat_map(|path| path.operations);
        let names = operations.filter_map(|operation| {
            let parameters =
                operation.params.into_iter().filter(|parameter| parameter.in_type == MetaParamIn::Path);
            Some((operation.operation_id?, parameters.map(|parameter| parameter.name).collect()))
        });
        names.collect()
    });
    let place: usize = place.strip_prefix("param")?.parse().ok()?;
    NAMES.get(operation.0)?.get(place).map(String::as_str)
}

/// What a handler's panic becomes. Its text is in the log only.
#[expect(clippy::needless_pass_by_value, reason = "the signature of a panic handler")]
pub(crate) fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(cause = text.unwrap_or("unknown"), "a request's handler panicked");
    problem::internal_response()
}
