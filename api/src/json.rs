//! JSON bodies: reading them with errors that name the field, writing them.
//!
//! [`Json`] stands where poem-openapi's own payload would. It differs in three ways: a wrong or missing field is named
//! by its path (`source.config`) and its value is never shown, since it may be a secret; types are taken strictly (a
//! number is no text); and a body is read up to the limit of its path, also when it comes in chunks.
//! [`OptionalJson`] is for the GET operations that the contract gives a body.
//!
//! The check is made against the schema that the OpenAPI document shows, so a request type says what it takes once.

use std::{
    collections::{BTreeMap, HashMap},
    ops::{Deref, DerefMut},
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use olake_shared::json::{is_deeper_than, parse_json};
use poem::{IntoResponse, Request, RequestBody, Response};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions,
    payload::Payload,
    registry::{
        MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
    },
    types::{ParseFromJSON, ToJSON, Type},
};
use serde_json::Value;

use crate::{
    document::{self, Document},
    layers::body_limit,
    problem::Problem,
    written,
};

pub(crate) const MEDIA_TYPE: &str = "application/json";

/// A JSON body, of a request or of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// A JSON body that may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionalJson<T>(pub Option<T>);

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Type> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ToJSON> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        written::hold(self.0.to_json().unwrap_or_default(), MEDIA_TYPE)
    }
}

impl<T: ToJSON> ApiResponse for Json<T> {
    fn meta() -> MetaResponses {
        let response = MetaResponse {
            description: "Success",
            status: Some(200),
            status_range: None,
            content: vec![MetaMediaType { content_type: MEDIA_TYPE, schema: T::schema_ref() }],
            headers: vec![],
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<'a, T: ParseFromJSON> ApiExtractor<'a> for Json<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(request_meta::<T>(true))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let is_json = request.content_type().is_some_and(is_json);
        if !is_json {
            return Err(Problem::unsupported_media_type().into());
        }
        let bytes = body_limit::read(request, body.take()?).await?;
        Ok(Self(parse(&bytes)?))
    }
}

impl<'a, T: ParseFromJSON> ApiExtractor<'a> for OptionalJson<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(request_meta::<T>(false))
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let bytes = body_limit::read(request, body.take()?).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        if request.content_type().is_some_and(|media_type| !is_json(media_type)) {
            return Err(Problem::unsupported_media_type().into());
        }
        Ok(Self(Some(parse(&bytes)?)))
    }
}

fn request_meta<T: Type>(required: bool) -> MetaRequest {
    MetaRequest {
        description: None,
        content: vec![MetaMediaType { content_type: MEDIA_TYPE, schema: T::schema_ref() }],
        required,
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == MEDIA_TYPE || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Reads a body.
///
/// # Errors
/// 400 that names the field.
pub fn parse<T: ParseFromJSON>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.is_empty() {
        return Err(Problem::bad_request("body", "a JSON object is missing"));
    }
    let value = parse_json(bytes).map_err(|error| Problem::bad_request("body", error.to_string()))?;
    parse_value(value)
}

/// Reads a value that is JSON already.
///
/// # Errors
/// 400 that names the field.
pub fn parse_value<T: ParseFromJSON>(value: Value) -> Result<T, Problem> {
    let schemas = schemas_of::<T>();
    check(&schemas, &T::schema_ref(), "", &value)
        .map_err(|wrong| Problem::bad_request(wrong.field, wrong.reason))?;
    T::parse_from_json(Some(value)).map_err(|error| Problem::bad_request("body", reason(error.message())))
}

/// The words of a poem-openapi error without the names of our types.
pub(crate) fn reason(message: &str) -> String {
    let message = message.split(" (occurred while parsing").next().unwrap_or(message);
    let message = match message.strip_prefix("failed to parse \"") {
        Some(rest) => rest.split_once("\": ").map_or(rest, |(_, reason)| reason),
        None => message,
    };
    if ["invalid digit found", "cannot parse integer", "number too"]
        .iter()
        .any(|start| message.starts_with(start))
    {
        return "expected a whole number of at most 64 bits".into();
    }
    // This form shows the value, which may be a secret.
    match message.split_once(", found ") {
        Some((expected, _)) if message.starts_with("Expected input type") => expected.to_owned(),
        _ => message.to_owned(),
    }
}

type Schemas = BTreeMap<String, MetaSchema>;

/// The schemas that a type refers to. They are made once for each type.
fn schemas_of<T: Type>() -> Arc<Schemas> {
    static KNOWN: LazyLock<RwLock<HashMap<&'static str, Arc<Schemas>>>> = LazyLock::new(RwLock::default);
    let name = std::any::type_name::<T>();
    if let Some(schemas) = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(name) {
        return Arc::clone(schemas);
    }
    let mut registry = Registry::new();
    T::register(&mut registry);
    let schemas = Arc::new(registry.schemas);
    KNOWN.write().unwrap_or_else(PoisonError::into_inner).insert(name, Arc::clone(&schemas));
    schemas
}

/// The names that the schema of an object has.
pub(crate) fn known_members<T: Type>() -> Vec<String> {
    let schemas = schemas_of::<T>();
    let schema = schemas.get(&*T::name());
    schema.into_iter().flat_map(|schema| &schema.properties).map(|(name, _)| (*name).to_owned()).collect()
}

/// Objects that are picked by their `id` alone: whatever else such an object holds is not looked at.
const PICKED_BY_ID: [&str; 1] = ["JobConnection"];

/// Objects that have no members but those of their schema.
const CLOSED: [&str; 1] = ["AdvancedSettingsInput"];

struct Wrong {
    field: String,
    reason: String,
}

/// Whether a value is what its schema says, as far as parsing would tell without naming the field.
fn check(schemas: &Schemas, schema: &MetaSchemaRef, path: &str, value: &Value) -> Result<(), Wrong> {
    let wrong = |reason: String| {
        let field = if path.is_empty() { "body" } else { path };
        Err(Wrong { field: field.to_owned(), reason })
    };
    let schema = match schema {
        MetaSchemaRef::Reference(name) if name == document::NAME => {
            return match value {
                Value::Object(_) if is_deeper_than(value, document::LEVELS) => wrong(document::too_deep()),
                Value::Object(_) => Ok(()),
                other => Document::read(other.clone()).map(|_| ()).or_else(wrong),
            };
        }
        MetaSchemaRef::Reference(name) => {
            let Some(schema) = schemas.get(name) else { return Ok(()) };
            let id = value.get("id").filter(|id| id.is_number() && PICKED_BY_ID.contains(&name.as_str()));
            if let (Some(id), Some((_, part))) =
                (id, schema.properties.iter().find(|(name, _)| *name == "id"))
            {
                return check(schemas, part, &member(path, "id"), id);
            }
            if let (Value::Object(fields), true) = (value, CLOSED.contains(&name.as_str()))
                && let Some(unknown) =
                    fields.keys().find(|field| !schema.properties.iter().any(|(known, _)| known == field))
            {
                return Err(Wrong { field: member(path, unknown), reason: "there is no such field".into() });
            }
            schema
        }
        MetaSchemaRef::Inline(schema) => schema,
    };
    for part in &schema.all_of {
        check(schemas, part, path, value)?;
    }
    match (schema.ty, value) {
        ("object", Value::Object(fields)) => {
            for (name, part) in &schema.properties {
                let path = member(path, name);
                match fields.get(*name) {
                    None if schema.required.contains(name) => {
                        return Err(Wrong { field: path, reason: "it is missing".into() });
                    }
                    None => {}
                    Some(Value::Null) if !schema.required.contains(name) => {}
                    Some(value) => check(schemas, part, &path, value)?,
                }
            }
            Ok(())
        }
        ("array", Value::Array(items)) => {
            let Some(part) = &schema.items else { return Ok(()) };
            for (index, value) in items.iter().enumerate() {
                check(schemas, part, &format!("{path}[{index}]"), value)?;
            }
            Ok(())
        }
        ("string", Value::String(text)) => {
            if text.contains('\0') {
                return wrong("it holds a NUL character".into());
            }
            if !schema.enum_items.is_empty() && !schema.enum_items.contains(value) {
                let known = schema.enum_items.iter().filter_map(Value::as_str).collect::<Vec<_>>();
                return wrong(format!("expected one of {}", known.join(", ")));
            }
            Ok(())
        }
        ("integer", Value::Number(number)) if number.as_i64().is_some() => Ok(()),
        ("integer", Value::Number(_)) => wrong("expected a whole number of at most 64 bits".into()),
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) | ("", _) => Ok(()),
        (expected, value) => wrong(format!("expected {}, not {}", word(expected), kind(value))),
    }
}

fn member(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn word(schema_type: &str) -> &str {
    match schema_type {
        "object" => "an object",
        "array" => "an array",
        "string" => "a string",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}

/// What a value is, without showing it.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::Object;

    use super::*;

    #[derive(Debug, Object)]
    struct Inner {
        name: String,
        config: Document,
        count: Option<i64>,
    }

    #[derive(Debug, Object)]
    struct Outer {
        /// A field with a description, which makes an `allOf` of its schema.
        source: Inner,
        #[oai(default)]
        flag: bool,
    }

    fn refusal(text: &str) -> String {
        match parse::<Outer>(text.as_bytes()) {
            Err(Problem::BadRequest(body)) => body.0.message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_good_body_is_read() {
        let outer: Outer = parse(
            br#"{"source": {"name": "a", "config": "{\"b\": 1}", "count": null, "extra": 1}, "flag": null}"#,
        )
        .unwrap();
        assert_eq!(outer.source.name, "a");
        assert_eq!(outer.source.config.text(), "{\"b\":1}");
        assert!(!outer.flag);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_path() {
        let cases = [
            ("", "Bad request: body: a JSON object is missing"),
            ("[]", "Bad request: body: expected an object, not an array"),
            ("{}", "Bad request: source: it is missing"),
            (r#"{"source": null}"#, "Bad request: source: expected an object, not null"),
            (r#"{"source": {"name": 5}}"#, "Bad request: source.name: expected a string, not a number"),
            (r#"{"source": {"name": null}}"#, "Bad request: source.name: expected a string, not null"),
            (r#"{"source": {"name": "a"}}"#, "Bad request: source.config: it is missing"),
            (
                r#"{"source": {"name": "a", "config": null}}"#,
                "Bad request: source.config: expected an object, or a string that holds one, not null",
            ),
            (
                r#"{"source": {"name": "a", "config": "[]"}}"#,
                "Bad request: source.config: the string holds JSON, but no object",
            ),
            (
                r#"{"source": {"name": "a", "config": {}, "count": "hunter2"}}"#,
                "Bad request: source.count: expected a whole number, not a string",
            ),
            (
                r#"{"source": {"name": "a\u0000", "config": {}}}"#,
                "Bad request: source.name: it holds a NUL character",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(text), expected, "{text}");
        }
        assert!(refusal("{").starts_with("Bad request: body: this is no JSON: "));
    }

    #[test]
    fn media_types_of_json_are_told_from_others() {
        for good in
            ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json"]
        {
            assert!(is_json(good), "{good}");
        }
        for bad in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
            assert!(!is_json(bad), "{bad}");
        }
    }
}
