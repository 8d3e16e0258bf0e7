//! Lines out of a stream of bytes.

/// One thing that came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A whole line without its end.
    Line(Vec<u8>),
    /// A line that was longer than it may be, and how long it was.
    TooLong(usize),
}

/// Splits a stream at CR, LF or both; empty lines are nothing. Holds one line at most.
#[derive(Debug)]
pub(crate) struct Lines {
    longest: usize,
    line: Vec<u8>,
    /// How long the present line is, kept or not.
    length: usize,
    /// The present line began before we looked.
    partial: bool,
}

impl Lines {
    /// Lines of at most so many bytes.
    pub(crate) fn at_most(longest: usize) -> Self {
        Self { longest, line: Vec::new(), length: 0, partial: false }
    }

    /// What comes until the next end of a line is not read.
    pub(crate) fn skip_to_next(&mut self) {
        self.partial = true;
    }

    /// Takes bytes in; gives the lines that ended in them.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for &byte in bytes {
            if matches!(byte, b'\r' | b'\n') {
                pieces.extend(self.end());
            } else {
                self.length += 1;
                if self.line.len() < self.longest {
                    self.line.push(byte);
                }
            }
        }
        pieces
    }

    /// Nothing more comes of the present line.
    pub(crate) fn end(&mut self) -> Option<Piece> {
        let line = std::mem::take(&mut self.line);
        let length = std::mem::take(&mut self.length);
        let partial = std::mem::take(&mut self.partial);
        match length {
            _ if partial => None,
            0 => None,
            length if length > self.longest => Some(Piece::TooLong(length)),
            _ => Some(Piece::Line(line)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> Piece {
        Piece::Line(text.into())
    }

    #[test]
    fn lines_end_in_every_usual_way_and_a_long_one_is_dropped_whole() {
        let mut lines = Lines::at_most(512);
        assert_eq!(lines.push(b"a\r\nb\rc\n\n\rd"), [line("a"), line("b"), line("c")]);
        assert_eq!(lines.push(b"e\n"), [line("de")]);
        assert_eq!(lines.push(&[b'x'; 4000]), []);
        assert_eq!(lines.push(b"\nnext\n"), [Piece::TooLong(4000), line("next")]);
    }

    #[test]
    fn what_was_under_way_is_left_out() {
        let mut lines = Lines::at_most(512);
        lines.skip_to_next();
        assert_eq!(lines.push(b"50 kg\r\n1250 kg\r\n"), [line("1250 kg")]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_arrive(text in "[a-c\r\n]{0,60}", cut in 0usize..60) {
            let whole = Lines::at_most(512).push(text.as_bytes());
            let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
            let mut lines = Lines::at_most(512);
            let mut parts = lines.push(first);
            parts.extend(lines.push(second));
            prop_assert_eq!(whole, parts);
        }
    }
}
