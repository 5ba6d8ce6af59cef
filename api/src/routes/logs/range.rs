//! The header `Range` of a download: one part of it, in bytes.

/// What part is wanted. `Range` may name several parts or another unit: then all is sent, as the protocol allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// From this byte on, up to and with the last one named, if one is.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

impl Wanted {
    /// Asks for the first byte alone: whether there is anything at all.
    pub const FIRST_BYTE: Self = Self::From(0, Some(0));

    /// Reads the header. None: all is wanted.
    pub fn read(header: &str) -> Option<Self> {
        let (unit, part) = header.trim().split_once('=')?;
        let (first, last) = part.trim().split_once('-')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Some(Self::From(first, Some(last))),
            (Some(first), None) if last.is_empty() => Some(Self::From(first, None)),
            (None, Some(count)) if first.is_empty() => Some(Self::Last(count)),
            _ => None,
        }
    }

    /// The first and the last byte of the part, of so many bytes in all. None: no byte of it is there.
    pub fn of(self, length: u64) -> Option<(u64, u64)> {
        let end = length.checked_sub(1)?;
        match self {
            Self::From(first, last) => (first <= end).then(|| (first, last.unwrap_or(end).min(end))),
            Self::Last(count) => (count > 0).then(|| (length.saturating_sub(count), end)),
        }
    }
}

/// Digits alone: `parse` would take a sign as well.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_in_bytes_is_understood() {
        assert_eq!(Wanted::read("bytes=0-0"), Some(Wanted::FIRST_BYTE));
        assert_eq!(Wanted::read(" Bytes=5-"), Some(Wanted::From(5, None)));
        assert_eq!(Wanted::read("bytes=5-9"), Some(Wanted::From(5, Some(9))));
        assert_eq!(Wanted::read("bytes=-9"), Some(Wanted::Last(9)));
        for other in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=9-5",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=x-",
        ] {
            assert_eq!(Wanted::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_part_ends_where_the_whole_ends() {
        assert_eq!(Wanted::From(5, None).of(10), Some((5, 9)));
        assert_eq!(Wanted::From(5, Some(7)).of(10), Some((5, 7)));
        assert_eq!(Wanted::From(5, Some(70)).of(10), Some((5, 9)));
        assert_eq!(Wanted::From(10, None).of(10), None);
        assert_eq!(Wanted::Last(3).of(10), Some((7, 9)));
        assert_eq!(Wanted::Last(30).of(10), Some((0, 9)));
        assert_eq!(Wanted::Last(0).of(10), None);
        assert_eq!(Wanted::From(0, None).of(0), None);
    }
}
