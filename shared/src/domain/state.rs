//! What a text must be to count as the state of a job.

use serde::de::IgnoredAny;

/// Why a text is no state. The text itself is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A list, a number, nothing at all.
    #[error("it is no JSON object")]
    NoObject,
    /// An object without a member: given to a connector, it would load as the oldest version of the state for good,
    /// which is worse than none.
    #[error("the object is empty; to begin from the start, reset the state")]
    Empty,
    /// Half a file, or something else that is no JSON.
    #[error("it is no JSON (line {line}, column {column})")]
    NoJson { line: usize, column: usize },
}

/// Whether a text is a state: a JSON object with at least one member, from its first byte to its last.
///
/// # Errors
/// [`StateError`] says what it is instead.
pub fn check(text: &str) -> Result<(), StateError> {
    let inside = text.trim_start().strip_prefix('{').ok_or(StateError::NoObject)?;
    serde_json::from_str::<IgnoredAny>(text)
        .map_err(|e| StateError::NoJson { line: e.line(), column: e.column() })?;
    match inside.trim_start().starts_with('}') {
        true => Err(StateError::Empty),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_an_object_with_members() {
        assert_eq!(check(" {\"b\": 12345678901234567890123, \"a\": 1e400}\n"), Ok(()));
        for empty in ["{}", " { }\n"] {
            assert_eq!(check(empty), Err(StateError::Empty));
        }
        for other in ["", "null", "[1]", "\"{\""] {
            assert_eq!(check(other), Err(StateError::NoObject));
        }
        for half in ["{", "{\"a\":1", "{}x", "{\"a\":1}}"] {
            assert!(matches!(check(half), Err(StateError::NoJson { .. })), "{half}");
        }
    }
}
