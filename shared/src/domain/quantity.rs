//! Amounts as Kubernetes writes them: `250m` of a processor, `2Gi` of memory.

/// A text that does not do as an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It is none.
    #[error("'{0}' is no amount (it looks like 512Mi, 2Gi, 500m or 2)")]
    NoAmount(String),
    /// It is one, and surely meant another.
    #[error("'{0}' is less than 16Mi, the least: amounts of memory and disk have a unit, as in 512Mi or 2Gi")]
    TooLittle(String),
}

const UNITS: [(&str, u64); 10] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
];

/// The least that a limit of memory or disk may be: less is a spelling mistake (`512` for `512Mi`).
const LEAST: u64 = 16 << 20;

/// Memory or disk in bytes: `2Gi`, `1.5G`, `1000000000`.
///
/// # Errors
/// [`QuantityError`] for anything else, and for less than 16Mi.
pub fn bytes(text: &str) -> Result<u64, QuantityError> {
    let (number, unit) = number_and_unit(text);
    let thousandths = thousandths(number).ok_or_else(|| refused(text))?;
    let bytes = thousandths.checked_mul(u128::from(unit)).ok_or_else(|| refused(text))? / 1_000;
    match u64::try_from(bytes) {
        Ok(bytes) if (LEAST..=1 << 60).contains(&bytes) => Ok(bytes),
        Ok(bytes) if bytes < LEAST => Err(QuantityError::TooLittle(shown_part(text))),
        _ => Err(refused(text)),
    }
}

/// Processors in thousandths: `250m`, `0.5`, `2`.
///
/// # Errors
/// [`QuantityError`] for anything else, and for none.
pub fn millicores(text: &str) -> Result<u64, QuantityError> {
    let milli = match text.strip_suffix('m') {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => number.parse().ok(),
        Some(_) => None,
        None => thousandths(text).and_then(|thousandths| u64::try_from(thousandths).ok()),
    };
    milli.filter(|milli| (1..=1_000_000).contains(milli)).ok_or_else(|| refused(text))
}

/// Any amount in thousandths, as Kubernetes writes it: `2Gi`, `500m`, `10`, and 0. None for other texts.
pub fn in_thousandths(text: &str) -> Option<u128> {
    if let Some(number) = text.strip_suffix('m') {
        return Some(thousandths(number)? / 1_000);
    }
    let (number, unit) = number_and_unit(text);
    thousandths(number)?.checked_mul(u128::from(unit))
}

/// Bytes in the form in which they are shown and sent: the largest unit that divides them.
pub fn shown(bytes: u64) -> String {
    let unit = UNITS[..5].iter().rev().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    match unit {
        Some((suffix, unit)) => format!("{}{suffix}", bytes / unit),
        None => bytes.to_string(),
    }
}

fn number_and_unit(text: &str) -> (&str, u64) {
    UNITS
        .iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, *unit)))
        .unwrap_or((text, 1))
}

/// A decimal number of at most three places, in thousandths.
fn thousandths(text: &str) -> Option<u128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 18) || !digits(part, 3) {
        return None;
    }
    let part: u128 = format!("{part:0<3}").parse().ok()?;
    Some(whole.parse::<u128>().ok()? * 1_000 + part)
}

fn refused(text: &str) -> QuantityError {
    QuantityError::NoAmount(shown_part(text))
}

/// It may come from a request: what is echoed is cut.
fn shown_part(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_kubernetes_reads_them() {
        for (text, expected) in [
            ("2Gi", 2 << 30),
            ("1.5Gi", 3 << 29),
            ("64Mi", 64 << 20),
            ("1G", 1_000_000_000),
            ("16777216", 16 << 20),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for (text, expected) in [("250m", 250), ("0.5", 500), ("2", 2_000), ("1.25", 1_250)] {
            assert_eq!(millicores(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_or_a_mistake_is_refused() {
        for text in
            ["", "lots", "2 Gi", "-1Gi", "2gi", "512", "1e9", "1.", ".5Gi", "1.2345Gi", "99999999Pi", "1Gi "]
        {
            assert!(bytes(text).is_err(), "{text}");
        }
        let little = bytes("4Mi").unwrap_err();
        assert!(
            matches!(little, QuantityError::TooLittle(_)) && little.to_string().contains("16Mi"),
            "{little}"
        );
        for text in ["", "0", "0m", "-1", "1.5m", "one", "2Gi"] {
            assert!(millicores(text).is_err(), "{text}");
        }
    }

    #[test]
    fn amounts_of_anything_can_be_compared() {
        for (text, expected) in [
            ("0", Some(0)),
            ("10", Some(10_000)),
            ("500m", Some(500)),
            ("1Ki", Some(1_024_000)),
            ("2Gi", Some(2_000 << 30)),
            ("m", None),
            ("1e3", None),
            ("-1", None),
        ] {
            assert_eq!(in_thousandths(text), expected, "{text}");
        }
    }

    #[test]
    fn bytes_are_shown_in_the_largest_unit_that_divides_them() {
        assert_eq!([2 << 30, 3 << 29, 1_000_000_000].map(shown), ["2Gi", "1536Mi", "1000000000"]);
        assert_eq!(bytes(&shown(5 << 40)), Ok(5 << 40));
    }
}
