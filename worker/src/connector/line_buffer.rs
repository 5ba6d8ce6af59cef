//! Bytes in chunks of any size, whole lines out.
//!
//! Invariants: a line is given out once, when its end has been seen or at [`LineBuffer::flush`]; at most
//! [`LINE_LIMIT`] bytes of a line are held, whatever is printed.

/// The longest line that is kept, in bytes. The rest of a longer one is dropped, and the line says so.
pub const LINE_LIMIT: usize = 1 << 20;

/// What stands at the end of a line that was cut.
pub const CUT_MARK: &str = " … [cut: the line was longer than 1 MiB]";

/// One line without its line break; bytes that are no UTF-8 are replaced.
pub struct RawLine {
    /// The text, without a mark.
    pub text: String,
    /// Whether the line was longer than [`LINE_LIMIT`].
    pub cut: bool,
}

/// Holds the half line between two chunks.
#[derive(Default)]
pub struct LineBuffer {
    partial: Vec<u8>,
    cut: bool,
}

impl LineBuffer {
    /// Takes a chunk and hands each line that it completes to `take`.
    pub fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(RawLine)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.partial.is_empty() && head.len() <= LINE_LIMIT {
                take(raw_line(head, false));
                continue;
            }
            self.keep(head);
            take(raw_line(&self.partial, self.cut));
            self.partial.clear();
            self.cut = false;
        }
        self.keep(bytes);
        if self.partial.is_empty() && self.partial.capacity() > 64 * 1024 {
            self.partial = Vec::new();
        }
    }

    /// The line that has no line break yet, if there is one.
    pub fn flush(&mut self) -> Option<RawLine> {
        if self.partial.is_empty() {
            return None;
        }
        let line = raw_line(&self.partial, self.cut);
        *self = Self::default();
        Some(line)
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_LIMIT.saturating_sub(self.partial.len());
        if bytes.len() > room {
            self.cut = true;
        }
        self.partial.extend(bytes.iter().take(room));
    }
}

fn raw_line(bytes: &[u8], cut: bool) -> RawLine {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if cut {
        // The cut may have gone through a character.
        text.truncate(text.trim_end_matches('\u{FFFD}').len());
    }
    RawLine { text, cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut buffer = LineBuffer::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            buffer.feed(chunk, |line| seen.push(line.text));
        }
        seen.extend(buffer.flush().map(|line| line.text));
        seen
    }

    #[test]
    fn chunk_borders_do_not_matter() {
        let text = "first\nsécond\r\n\nlast";
        let whole = lines(&[text.as_bytes()]);
        assert_eq!(whole, ["first", "sécond", "", "last"]);
        for at in 0..text.len() {
            let (a, b) = text.as_bytes().split_at(at);
            assert_eq!(lines(&[a, b]), whole, "split at {at}");
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_replaced() {
        assert_eq!(lines(&[b"a\xff\xfeb\n"]), ["a\u{FFFD}\u{FFFD}b"]);
    }

    #[test]
    fn a_huge_line_is_cut_and_the_next_one_is_whole() {
        let mut buffer = LineBuffer::default();
        let mut seen = Vec::new();
        for _ in 0..40 {
            buffer.feed(&[b'x'; 100_000], |line| seen.push(line));
        }
        assert!(buffer.partial.len() <= LINE_LIMIT);
        buffer.feed(b"\nnext\n", |line| seen.push(line));
        assert_eq!(seen.len(), 2);
        assert!(seen[0].cut);
        assert_eq!(seen[0].text.len(), LINE_LIMIT);
        assert!(!seen[1].cut);
        assert_eq!(seen[1].text, "next");
    }
}
