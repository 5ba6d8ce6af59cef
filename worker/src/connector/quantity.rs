//! Numbers as connectors write them: a JSON number, or a text with a unit behind it (`12761.62 rps`,
//! `2.72 MB`, `0.01 s`).

use serde_json::Value;

/// The number at the front of a text, and the unit behind it. None when the text begins with no number.
pub fn split_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    number.is_finite().then(|| (number, unit.trim()))
}

/// A count of bytes: a plain number, or one with a unit (B, KB, MB, …, each 1024 of the one before, as
/// connectors count). Rounded to whole bytes; as exact as the text is.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let unit = unit.to_ascii_lowercase();
    let power = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return None,
    };
    whole(number * 1024_f64.powi(power))
}

/// A count: a JSON number or a text that begins with one. Fractions are rounded; negative ones are none.
pub fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => whole(split_unit(text)?.0),
        _ => None,
    }
}

/// A number, whatever its unit.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().filter(|number| number.is_finite()),
        Value::String(text) => split_unit(text).map(|(number, _)| number),
        _ => None,
    }
}

fn whole(number: f64) -> Option<u64> {
    let rounded = number.round();
    // 2^63: far above any count, and safely inside u64.
    (0.0..9_223_372_036_854_775_808.0).contains(&rounded).then_some(rounded as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        assert_eq!(bytes("0 B"), Some(0));
        assert_eq!(bytes("651 B"), Some(651));
        assert_eq!(bytes("651"), Some(651));
        assert_eq!(bytes("3.00 KB"), Some(3072));
        assert_eq!(bytes("2.72 MB"), Some(2_852_127));
        assert_eq!(bytes("1.5 GiB"), Some(1_610_612_736));
        assert_eq!(bytes("12 mb"), Some(12_582_912));
    }

    #[test]
    fn a_text_without_a_number_is_none() {
        assert_eq!(bytes("many"), None);
        assert_eq!(bytes("3 parsecs"), None);
        assert_eq!(bytes("-1 B"), None);
        assert_eq!(number(&Value::from("Not Determined")), None);
        assert_eq!(count(&Value::from(-3)), None);
        assert_eq!(count(&Value::Null), None);
    }
}
