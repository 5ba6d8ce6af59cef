//! The values of all keys, merged from the default file, a file, the environment and flags, each with its origin.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::Value;

use super::{
    error::{ConfigError, Origin},
    keys::{self, FILE_VARIABLE, Form, KEYS, Key},
    secret::{MASK, Secret},
};

/// The commented defaults: the documentation of the configuration.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// Where a configuration is read from, beside the defaults. It holds secrets, and so has no `Debug`.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file of the flag `--config`. Without it the variable `OLAKE_CONFIG` may name one.
    pub file: Option<PathBuf>,
    /// The environment. Only variables that begin with `OLAKE_` are looked at.
    pub env: Vec<(String, String)>,
    /// Flags, by key (`server.listen`).
    pub flags: Vec<(&'static str, String)>,
}

impl Sources {
    /// The environment of this process, with the command line's file and flags.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Self {
        let env = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| name.starts_with("OLAKE_"))
            .collect();
        Self { file, env, flags }
    }
}

struct Setting {
    value: Value,
    origin: Origin,
}

/// One value for each of [`KEYS`].
pub(super) struct Values(BTreeMap<&'static str, Setting>);

impl Values {
    pub(super) fn merge(sources: Sources) -> Result<Self, ConfigError> {
        let mut values = Self(BTreeMap::new());
        values.add_toml(DEFAULT_TOML, &Origin::Default, Path::new("default.toml"))?;
        values.add_file(&sources)?;
        values.add_variables(sources.env)?;
        for (path, text) in sources.flags {
            let Some(key) = keys::by_path(path) else {
                return Err(ConfigError::UnknownKey { key: path.to_owned(), origin: Origin::Flag });
            };
            if key.form.is_secret() {
                let reason =
                    "a secret is never given on the command line, where other users can read it".to_owned();
                return Err(ConfigError::Invalid { key: key.path, origin: Origin::Flag, reason });
            }
            values.add_text(key, &text, ',', Origin::Flag)?;
        }
        Ok(values)
    }

    fn add_file(&mut self, sources: &Sources) -> Result<(), ConfigError> {
        let variable = sources.env.iter().find(|(name, value)| name == FILE_VARIABLE && !value.is_empty());
        let (path, origin) = match (&sources.file, variable) {
            (Some(path), _) => (path.clone(), "flag --config".to_owned()),
            (None, Some((_, path))) => (PathBuf::from(path), format!("env {FILE_VARIABLE}")),
            (None, None) => return Ok(()),
        };
        let text = read(&path, origin)?;
        self.add_toml(&text, &Origin::File(path.clone()), &path)
    }

    fn add_toml(&mut self, text: &str, origin: &Origin, path: &Path) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error| syntax(path, text, &error))?;
        for (name, value) in table {
            match value {
                Value::Table(section) if is_section(&name) => {
                    for (key, value) in section {
                        self.add(&format!("{name}.{key}"), value, origin)?;
                    }
                }
                value => self.add(&name, value, origin)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, value: Value, origin: &Origin) -> Result<(), ConfigError> {
        let Some(key) = keys::by_path(path) else {
            return Err(ConfigError::UnknownKey { key: path.to_owned(), origin: origin.clone() });
        };
        let fits = match (key.form, &value) {
            (Form::Text | Form::Secret, Value::String(_))
            | (Form::Number, Value::Integer(_))
            | (Form::Flag, Value::Boolean(_)) => true,
            (Form::List | Form::SecretList, Value::Array(elements)) => elements.iter().all(Value::is_str),
            _ => false,
        };
        if !fits {
            let reason = format!("must be {}", key.form.words());
            return Err(ConfigError::Invalid { key: key.path, origin: origin.clone(), reason });
        }
        self.0.insert(key.path, Setting { value, origin: origin.clone() });
        Ok(())
    }

    fn add_variables(&mut self, env: Vec<(String, String)>) -> Result<(), ConfigError> {
        let mut set_by: BTreeMap<&'static str, String> = BTreeMap::new();
        for (name, text) in env.into_iter().filter(|(name, _)| name.starts_with("OLAKE_")) {
            let Some((key, names_file)) = keys::by_variable(&name) else {
                if keys::is_harmless(&name) {
                    continue;
                }
                return Err(ConfigError::UnknownVariable { name });
            };
            if text.is_empty() {
                continue;
            }
            if let Some(first) = set_by.insert(key.path, name.clone()) {
                let (first, second) = if first < name { (first, name) } else { (name, first) };
                return Err(ConfigError::Twice { key: key.path, first, second });
            }
            let (text, separator) = match names_file {
                true => (read(Path::new(&text), format!("env {name}"))?.trim().to_owned(), '\n'),
                false => (text, ','),
            };
            self.add_text(key, &text, separator, Origin::Variable(name))?;
        }
        Ok(())
    }

    fn add_text(
        &mut self,
        key: &'static Key,
        text: &str,
        separator: char,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let value = match key.form {
            Form::Text | Form::Secret => Some(Value::String(text.to_owned())),
            Form::Number => text.trim().parse().ok().map(Value::Integer),
            Form::Flag => text.trim().parse().ok().map(Value::Boolean),
            Form::List | Form::SecretList => {
                let elements = text.split(separator).map(str::trim).filter(|element| !element.is_empty());
                Some(Value::Array(elements.map(|element| Value::String(element.to_owned())).collect()))
            }
        };
        match value {
            Some(value) => {
                self.0.insert(key.path, Setting { value, origin });
                Ok(())
            }
            None => {
                let reason = format!("must be {}, not '{text}'", key.form.words());
                Err(ConfigError::Invalid { key: key.path, origin, reason })
            }
        }
    }

    /// A value by its key. Every key has one: the default file's.
    fn value(&self, path: &'static str) -> &Value {
        &self.0.get(path).expect("the default file has every key: a test compares the two").value
    }

    pub(super) fn text(&self, path: &'static str) -> String {
        self.value(path).as_str().unwrap_or_default().trim().to_owned()
    }

    /// A secret; empty means none.
    pub(super) fn secret(&self, path: &'static str) -> Option<Secret> {
        let text = self.value(path).as_str().unwrap_or_default().trim();
        if text.is_empty() { None } else { Some(Secret::new(text)) }
    }

    pub(super) fn list(&self, path: &'static str) -> Vec<String> {
        let elements = self.value(path).as_array().map(Vec::as_slice).unwrap_or_default();
        elements.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    pub(super) fn flag(&self, path: &'static str) -> bool {
        self.value(path).as_bool().unwrap_or_default()
    }

    /// A number between two bounds, both included.
    pub(super) fn number(&self, path: &'static str, least: u32, most: u32) -> Result<u32, ConfigError> {
        let number = self.value(path).as_integer().unwrap_or_default();
        match u32::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(self.invalid(path, format!("must be between {least} and {most}, not {number}"))),
        }
    }

    pub(super) fn invalid(&self, path: &'static str, reason: impl Into<String>) -> ConfigError {
        let origin = self.0.get(path).map_or(Origin::Default, |setting| setting.origin.clone());
        ConfigError::Invalid { key: path, origin, reason: reason.into() }
    }

    /// Puts what a default stands for into its place, so that it is shown.
    pub(super) fn resolve(&mut self, path: &'static str, text: &str) {
        if let Some(setting) = self.0.get_mut(path) {
            setting.value = Value::String(text.to_owned());
        }
    }

    /// All values as TOML, secrets masked, with the origin of each as a comment.
    pub(super) fn masked_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for key in KEYS {
            let (own, name) = key.path.split_once('.').unwrap_or(("", key.path));
            if own != section {
                section = own;
                text.push_str(&format!("\n[{section}]\n"));
            }
            if let Some(setting) = self.0.get(key.path) {
                let line = format!("{name} = {}", shown(key.form, &setting.value));
                text.push_str(&format!("{line:<50} # {}\n", setting.origin));
            }
        }
        text
    }
}

fn shown(form: Form, value: &Value) -> Value {
    match (form, value) {
        (Form::Secret, Value::String(text)) if !text.trim().is_empty() => Value::String(MASK.to_owned()),
        (Form::SecretList, Value::Array(elements)) => {
            Value::Array(elements.iter().map(|_| Value::String(MASK.to_owned())).collect())
        }
        _ => value.clone(),
    }
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.path.split_once('.').is_some_and(|(section, _)| section == name))
}

pub(super) fn read(path: &Path, origin: String) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
        path: path.to_owned(),
        origin,
        source,
    })
}

/// A mistake in a TOML text, by its line. The text itself is not shown.
fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let line = line_of(text, error);
    ConfigError::Syntax { path: path.to_owned(), line, reason: error.message().to_owned() }
}

pub(super) fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let start = error.span().map_or(0, |span| span.start.min(text.len()));
    text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1
}
