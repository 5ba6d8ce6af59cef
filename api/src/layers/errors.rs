//! Whatever goes wrong is answered in the envelope: unknown paths, wrong methods, refused parameters, panics. Nothing
//! of the framework's own texts reaches a client.

use std::{any::Any, collections::HashMap, sync::LazyLock};

use percent_encoding::percent_decode_str;
use poem::{
    Endpoint, IntoResponse, Request, Response,
    error::{MethodNotAllowedError, NotFoundError, ReadBodyError},
    http::Method,
};
use poem_openapi::{
    OpenApi, OperationId,
    error::{ParseParamError, ParsePathError, ParseRequestPayloadError},
    registry::{MetaOperationParam, MetaParamIn, MetaSchemaRef, Registry},
};
use serde_json::Value;

use crate::{
    json::reason,
    problem::{self, Problem},
    routes::{Apis, jobs::cancel},
};

pub(crate) async fn errors<E>(next: E, request: Request) -> poem::Result<Response>
where
    E: Endpoint,
{
    let uri = request.uri();
    let path = uri.path().to_owned();
    if let Some((field, reason)) = unreadable(&path, uri.query().unwrap_or_default()) {
        return Ok(Problem::bad_request(field, reason).into_response());
    }
    // The framework answers a HEAD by the GET, and this one would change something.
    if *request.method() == Method::HEAD && cancel::is_path(&path) {
        return Ok(problem::method_not_allowed());
    }
    match next.call(request).await {
        Ok(response) => Ok(response.into_response()),
        Err(error) => Ok(envelope(error, &path)),
    }
}

/// What of a path or query is no text that could be ours: the field, and why.
fn unreadable<'a>(path: &str, query: &'a str) -> Option<(&'a str, &'static str)> {
    if let Some(reason) = no_text(path) {
        return Some(("path", reason));
    }
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let field = if is_plain { name } else { "query" };
        no_text(name).or_else(|| no_text(value)).map(|reason| (field, reason))
    })
}

fn no_text(encoded: &str) -> Option<&'static str> {
    match percent_decode_str(encoded).decode_utf8() {
        Err(_) => Some("it is not UTF-8"),
        // PostgreSQL has no place for it in a text, so no name or id of ours can hold one.
        Ok(text) if text.contains('\0') => Some("it holds a NUL character"),
        Ok(_) => None,
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
        return refused(
            operation.and_then(|operation| path_parameter(operation, error.name)),
            "path",
            &error.reason,
        );
    }
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return refused(
            operation.and_then(|operation| parameter(operation, error.name)),
            error.name,
            &error.reason,
        );
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

/// The parameters of an operation, as they are documented.
fn parameters(operation: OperationId) -> &'static [MetaOperationParam] {
    static KNOWN: LazyLock<HashMap<&'static str, Vec<MetaOperationParam>>> = LazyLock::new(|| {
        let paths = Apis::meta().into_iter().flat_map(|api| api.paths);
        let operations = paths.flat_map(|path| path.operations);
        operations.filter_map(|operation| Some((operation.operation_id?, operation.params))).collect()
    });
    KNOWN.get(operation.0).map_or(&[], Vec::as_slice)
}

/// A parameter of a path. The framework knows it by its place only: `param1` is the second one.
fn path_parameter(operation: OperationId, place: &str) -> Option<&'static MetaOperationParam> {
    let place: usize = place.strip_prefix("param")?.parse().ok()?;
    parameters(operation).iter().filter(|parameter| parameter.in_type == MetaParamIn::Path).nth(place)
}

fn parameter(operation: OperationId, name: &str) -> Option<&'static MetaOperationParam> {
    parameters(operation).iter().find(|parameter| parameter.name == name)
}

/// A parameter that is not what it must be, in our words; the framework's where we have none.
fn refused(parameter: Option<&MetaOperationParam>, name: &str, reason_given: &str) -> Problem {
    let Some(parameter) = parameter else { return Problem::bad_request(name, reason(reason_given)) };
    match expected(&parameter.schema) {
        Some(expected) => Problem::bad_request(&parameter.name, format!("must be {expected}")),
        None => Problem::bad_request(&parameter.name, reason(reason_given)),
    }
}

/// What a parameter must be, if it is one of some words, or an id of the long kind.
fn expected(schema: &MetaSchemaRef) -> Option<String> {
    static KNOWN: LazyLock<Registry> = LazyLock::new(|| {
        let mut registry = Registry::new();
        Apis::register(&mut registry);
        registry
    });
    let schema = match schema {
        MetaSchemaRef::Inline(schema) => schema.as_ref(),
        MetaSchemaRef::Reference(name) => KNOWN.schemas.get(name)?,
    };
    if schema.format == Some("uuid") {
        return Some("an id as this server gives them, such as 01890a5d-ac96-774b-bcce-b302099a8057".into());
    }
    let words = schema.enum_items.iter().filter_map(Value::as_str).collect::<Vec<_>>();
    (!words.is_empty()).then(|| words.join(" or "))
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
