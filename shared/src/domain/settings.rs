//! A job's advanced settings.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Why a setting is refused. `field` is its name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("advanced_settings.{field}: {reason}")]
pub struct SettingError {
    /// The setting.
    pub field: String,
    /// What is wrong, for the person who sent it.
    pub reason: String,
}

/// What becomes of a schedule's slots that passed while nothing could run them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissedSlots {
    /// They are recorded as skipped; the job waits for its next slot.
    Skip,
    /// The job runs once, at once.
    #[default]
    Once,
}

/// The settings as they are stored: what is absent has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvancedSettings {
    /// How many threads discover may use; default: the connector's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_discover_threads: Option<u32>,
    /// How often an attempt that failed by the connector's own error is tried again; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// The deadline of a sync in seconds; default: the installation's (30 days).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Memory limit of the connector, for launchers that can set one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<String>,
    /// The placement profile, for launchers that have some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The IANA time zone of the schedule; default UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Default `once`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_slots: Option<MissedSlots>,
}

impl AdvancedSettings {
    /// These settings with those of `patch` put in. A null value puts the default back; what is absent stays.
    ///
    /// # Errors
    /// [`SettingError`] for an unknown name or a value that does not fit.
    pub fn patched(&self, patch: &Map<String, Value>) -> Result<Self, SettingError> {
        let mut settings = self.clone();
        for (name, value) in patch {
            match name.as_str() {
                "max_discover_threads" => settings.max_discover_threads = number(name, value, 1, 1_000)?,
                "retries" => settings.retries = number(name, value, 0, 100)?,
                "timeout_seconds" => settings.timeout_seconds = number(name, value, 1, 365 * 86_400)?,
                "max_memory" => settings.max_memory = text(name, value)?,
                "profile" => settings.profile = text(name, value)?,
                "time_zone" => settings.time_zone = text(name, value)?,
                "missed_slots" => {
                    settings.missed_slots = match value {
                        Value::Null => None,
                        value => Some(
                            serde_json::from_value(value.clone())
                                .map_err(|_| error(name, "must be \"skip\" or \"once\""))?,
                        ),
                    }
                }
                _ => return Err(error(name, "is no setting")),
            }
        }
        if let Some(zone) = &settings.time_zone
            && zone.parse::<chrono_tz::Tz>().is_err()
        {
            return Err(error(
                "time_zone",
                &format!("'{zone}' is no IANA time zone (such as Europe/Berlin)"),
            ));
        }
        Ok(settings)
    }
}

fn error(field: &str, reason: &str) -> SettingError {
    SettingError { field: field.to_owned(), reason: reason.to_owned() }
}

fn number<T: TryFrom<u64>>(
    name: &str,
    value: &Value,
    least: u64,
    most: u64,
) -> Result<Option<T>, SettingError> {
    if value.is_null() {
        return Ok(None);
    }
    value
        .as_u64()
        .filter(|n| (least..=most).contains(n))
        .and_then(|n| T::try_from(n).ok())
        .map(Some)
        .ok_or_else(|| error(name, &format!("must be a whole number from {least} to {most}")))
}

fn text(name: &str, value: &Value) -> Result<Option<String>, SettingError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(error(name, "must be a text")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(value: Value) -> Result<AdvancedSettings, SettingError> {
        let before = AdvancedSettings { max_discover_threads: Some(5), ..Default::default() };
        before.patched(value.as_object().unwrap())
    }

    #[test]
    fn absent_stays_and_null_is_the_default_again() {
        assert_eq!(patch(json!({})).unwrap().max_discover_threads, Some(5));
        assert_eq!(patch(json!({"max_discover_threads": null})).unwrap().max_discover_threads, None);
        assert_eq!(patch(json!({"missed_slots": "skip"})).unwrap().missed_slots, Some(MissedSlots::Skip));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (bad, field) in [
            (json!({"max_discover_threads": 0}), "max_discover_threads"),
            (json!({"timeout_seconds": 1.5}), "timeout_seconds"),
            (json!({"time_zone": "Mars"}), "time_zone"),
            (json!({"missed_slots": "all"}), "missed_slots"),
            (json!({"colour": 1}), "colour"),
        ] {
            assert_eq!(patch(bad).unwrap_err().field, field);
        }
    }
}
