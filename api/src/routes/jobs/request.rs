//! What requests about jobs hold, and what of it is refused.

use std::borrow::Cow;

use olake_shared::store::jobs::{JobInput, SideInput};
use poem_openapi::{
    Enum, Object,
    registry::{MetaSchemaRef, Registry},
    types::{Example, MaybeUndefined, ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::{Map, Value, json};

use crate::{
    document::Document,
    json::kind,
    problem::Problem,
    routes::connections::request::{self, Given},
};

/// A job that is made or replaced.
#[derive(Clone, Debug, Object)]
#[oai(rename = "JobInput", example)]
pub struct JobBody {
    /// Unique among the jobs of the project; 1 to 200 characters.
    pub name: String,
    /// Where data comes from.
    pub source: JobSide,
    /// Where data goes to.
    pub destination: JobSide,
    /// How often it runs: cron text with 5 fields (or 7: seconds first, year last), or `N-minutes`, `N-hours`, `N-days`,
    /// `N-weeks`, `N-months`, `N-years`.
    pub frequency: String,
    /// The catalog with its selections: `streams` and `selected_streams`.
    pub streams_config: Document,
    /// Whether the schedule is active. Absent: a new job is active, another stays as it is.
    #[oai(skip_serializing_if_is_none)]
    pub activate: Option<bool>,
    /// Absent or null: unchanged. A null value in it: the default again.
    #[oai(skip_serializing_if_is_none)]
    pub advanced_settings: Option<AdvancedSettingsBody>,
    /// When a job is replaced: the catalog of the streams that differ, from `stream-difference`. If it selects a stream, a
    /// running sync is cancelled, the selected streams are cleared in the destination, and the job goes on.
    #[oai(skip_serializing_if_is_none)]
    pub difference_streams: Option<Document>,
}

/// A job's source or destination. An `id` picks an existing one, and the rest is ignored. Without it, one of that name
/// with equal type, version and config is taken, or a new one is made with the job.
#[derive(Clone, Debug, Default, Object)]
#[oai(rename = "JobConnection", skip_serializing_if_is_none)]
struct SideFields {
    /// Picks an existing one.
    id: Option<i64>,
    /// Unique among those of the project.
    name: Option<String>,
    /// The connector's type, as `postgres`; of a destination, as `parquet`.
    #[oai(rename = "type")]
    connector_type: Option<String>,
    /// The connector's version, as `v0.9.4`; the same for source and destination.
    version: Option<String>,
    /// Secrets may be given as the `sealed:` tokens that a read shows.
    config: Option<Document>,
}

/// A job's source or destination, with all that came with it.
#[derive(Clone, Debug)]
pub struct JobSide {
    fields: SideFields,
    received: Map<String, Value>,
}

/// A job's advanced settings. What is absent is unchanged, null is the default.
#[derive(Clone, Debug, Object)]
#[oai(rename = "AdvancedSettingsInput", deny_unknown_fields)]
pub struct AdvancedSettingsBody {
    /// How many threads discover may use, 1 to 1000.
    pub max_discover_threads: MaybeUndefined<i64>,
    /// How often an attempt that failed by the connector's own error is tried again, 0 to 100.
    pub retries: MaybeUndefined<i64>,
    /// The deadline of a sync in seconds.
    pub timeout_seconds: MaybeUndefined<i64>,
    /// Memory limit of the connector, for launchers that can set one.
    pub max_memory: MaybeUndefined<String>,
    /// The placement profile, for launchers that have some.
    pub profile: MaybeUndefined<String>,
    /// The IANA time zone of the schedule, as `Europe/Berlin`.
    pub time_zone: MaybeUndefined<String>,
    /// What becomes of slots that passed while nothing could run them.
    pub missed_slots: MaybeUndefined<MissedSlotsWord>,
}

/// What becomes of slots that passed while nothing could run them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename = "MissedSlots", rename_all = "lowercase")]
pub enum MissedSlotsWord {
    /// They are recorded as skipped.
    Skip,
    /// The job runs once, at once.
    Once,
}

impl Example for JobBody {
    fn example() -> Self {
        let side = |name: &str, connector_type: &str, config: Value| {
            JobSide::of(SideFields {
                id: None,
                name: Some(name.to_owned()),
                connector_type: Some(connector_type.to_owned()),
                version: Some("v0.9.4".to_owned()),
                config: Some(Document::native(config)),
            })
        };
        let selected = json!([{"stream_name": "orders", "partition_regex": "", "normalization": true}]);
        Self {
            name: "shop to lake".to_owned(),
            source: side("shop database", "postgres", json!({"host": "db.example.com", "database": "shop"})),
            destination: side("lake", "parquet", json!({"type": "PARQUET", "writer": {"s3_bucket": "lake"}})),
            frequency: "0 */6 * * *".to_owned(),
            streams_config: Document::native(
                json!({"selected_streams": {"public": selected}, "streams": []}),
            ),
            activate: Some(true),
            advanced_settings: None,
            difference_streams: None,
        }
    }
}

impl JobBody {
    /// The input for the store.
    ///
    /// # Errors
    /// 400 naming the field.
    pub fn input(&self) -> Result<JobInput, Problem> {
        let name = request::name(&self.name, "")?;
        let source = self.source.input("source.")?;
        let destination = self.destination.input("destination.")?;
        check_streams("streams_config", self.streams_config.value())?;
        if let Some(difference) = &self.difference_streams {
            check_streams("difference_streams", difference.value())?;
        }
        Ok(JobInput {
            name,
            source,
            destination,
            frequency: self.frequency.trim().to_owned(),
            streams_config: self.streams_config.text(),
            activate: self.activate,
            advanced_settings: self.advanced_settings.as_ref().map(AdvancedSettingsBody::patch),
        })
    }
}

impl JobSide {
    fn of(fields: SideFields) -> Self {
        let received = match fields.to_json() {
            Some(Value::Object(members)) => members,
            _ => Map::new(),
        };
        Self { fields, received }
    }

    fn input(&self, at: &str) -> Result<SideInput, Problem> {
        let fields = &self.fields;
        if let Some(id) = fields.id {
            return Ok(SideInput::Existing(id));
        }
        let missing = |field: &str| {
            Problem::bad_request(format!("{at}{field}"), "it is missing (there is no id either)")
        };
        let given = Given {
            name: fields.name.clone().ok_or_else(|| missing("name"))?,
            connector_type: fields.connector_type.clone().ok_or_else(|| missing("type"))?,
            version: fields.version.clone().ok_or_else(|| missing("version"))?,
            config: fields.config.clone().ok_or_else(|| missing("config"))?,
        };
        Ok(SideInput::Inline(given.input(at)?))
    }

    /// Whether it is picked by its id, and the rest of it ignored.
    pub fn is_picked(&self) -> bool {
        self.fields.id.is_some()
    }

    /// The config as it was received, if it is one: that of a side which is picked may be anything.
    pub fn received_config(&self) -> Option<Document> {
        Document::read(self.received.get("config")?.clone()).ok()
    }

    /// This side as it is echoed: what was received, with the config as it is shown.
    #[must_use]
    pub fn echo(mut self, config: &Document) -> Self {
        if let Some(received) = self.received.get_mut("config") {
            *received = config.to_json().unwrap_or_default();
        }
        self
    }
}

impl Type for JobSide {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        SideFields::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        SideFields::schema_ref()
    }

    fn register(registry: &mut Registry) {
        SideFields::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for JobSide {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        let received = match value.unwrap_or_default() {
            Value::Object(received) => received,
            other => return Err(ParseError::expected_type(other)),
        };
        let fields = match received.get("id") {
            Some(Value::Number(id)) => SideFields { id: id.as_i64(), ..SideFields::default() },
            _ => SideFields::parse_from_json(Some(Value::Object(received.clone())))
                .map_err(ParseError::propagate)?,
        };
        Ok(Self { fields, received })
    }
}

impl ToJSON for JobSide {
    fn to_json(&self) -> Option<Value> {
        Some(Value::Object(self.received.clone()))
    }
}

impl AdvancedSettingsBody {
    fn patch(&self) -> Map<String, Value> {
        match self.to_json() {
            Some(Value::Object(patch)) => patch,
            _ => Map::new(),
        }
    }
}

/// A catalog is an object with `streams`, a list of objects, and `selected_streams`, which has a list of objects for each
/// namespace. Either may be missing; what else it holds is the connector's.
pub fn check_streams(at: &str, catalog: &Value) -> Result<(), Problem> {
    let wrong = |field: String, expected: &str, found: &Value| {
        Err(Problem::bad_request(
            format!("{at}.{field}"),
            format!("expected {expected}, not {}", kind(found)),
        ))
    };
    let check_list = |field: &str, list: &Value| match list {
        Value::Array(items) => match items.iter().enumerate().find(|(_, item)| !item.is_object()) {
            Some((at, item)) => wrong(format!("{field}[{at}]"), "an object", item),
            None => Ok(()),
        },
        other => wrong(field.to_owned(), "an array", other),
    };
    match catalog.get("streams") {
        None | Some(Value::Null) => {}
        Some(streams) => check_list("streams", streams)?,
    }
    match catalog.get("selected_streams") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Object(namespaces)) => namespaces
            .iter()
            .try_for_each(|(namespace, list)| check_list(&format!("selected_streams.{namespace}"), list)),
        Some(other) => wrong("selected_streams".to_owned(), "an object", other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_has_lists_of_objects() {
        for good in [
            json!({}),
            json!({"streams": [{"stream": {}}], "selected_streams": {"public": [{"stream_name": "a"}]}, "more": 5}),
            json!({"streams": null, "selected_streams": null}),
        ] {
            assert!(check_streams("streams_config", &good).is_ok(), "{good}");
        }
        for bad in [
            json!({"streams": {}}),
            json!({"streams": [5]}),
            json!({"selected_streams": []}),
            json!({"selected_streams": {"public": {}}}),
            json!({"selected_streams": {"public": ["a"]}}),
        ] {
            assert!(check_streams("streams_config", &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_side_is_picked_or_complete() {
        let side = |text: &str| crate::json::parse::<JobSide>(text.as_bytes()).unwrap().input("source.");
        assert!(matches!(side(r#"{"id": 7, "name": "other"}"#), Ok(SideInput::Existing(7))));
        let ignored = r#"{"id": 7, "config": "garbage", "version": 7, "name": null}"#;
        assert!(matches!(side(ignored), Ok(SideInput::Existing(7))));
        let whole = r#"{"name": "a", "type": "postgres", "version": "v0.9.4", "config": "{}"}"#;
        assert!(matches!(side(whole), Ok(SideInput::Inline(_))));
        assert!(side(r#"{"name": "a", "type": "postgres", "version": "v0.9.4"}"#).is_err());
    }

    #[test]
    fn settings_tell_absent_from_null() {
        let settings = |text: &str| crate::json::parse::<AdvancedSettingsBody>(text.as_bytes());
        let patch = settings(r#"{"retries": 3, "time_zone": null}"#).unwrap().patch();
        assert_eq!(Value::Object(patch), json!({"retries": 3, "time_zone": null}));
        assert!(settings(r#"{"colour": 1}"#).is_err());
    }
}
