//! Reads the lines of a data file with a limit on their length and number, so that no file can make
//! the program use more memory than stated here.

use std::io::{self, BufRead, Read};

/// The longest line of a data file in bytes, without its line break.
pub const MAX_LINE_BYTES: usize = 4 << 20;
/// The most rows that are read from one data file.
pub const MAX_ROWS: usize = 1_000_000;

/// Why a line is not text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LineFault {
    /// It is longer than [`MAX_LINE_BYTES`].
    #[error("the line has more than {limit} bytes, the longest line that is read; a JSONL file has one object a line")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// It is not UTF-8.
    #[error("the line is not UTF-8 (byte {at} of the line); convert the file, e.g. with `iconv -t UTF-8`")]
    NotUtf8 {
        /// The first wrong byte, counted from 1.
        at: usize,
    },
    /// The file starts with a byte-order mark.
    #[error("the file starts with a byte-order mark; save it as UTF-8 without one")]
    ByteOrderMark,
}

/// A reader of lines, numbered from 1.
pub(super) struct Lines<R> {
    reader: R,
    limit: usize,
    number: usize,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, number: 0 }
    }

    /// Returns the next line's number and text; `None` at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<(usize, Result<String, LineFault>)>> {
        let mut line = Vec::new();
        // One extra byte for the line break, and one to notice that the line is too long.
        (&mut self.reader).take(self.limit as u64 + 2).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let ended = line.last() == Some(&b'\n');
        if ended {
            line.pop();
        }
        let text = if line.len() > self.limit {
            if !ended {
                self.skip_rest()?;
            }
            Err(LineFault::TooLong { limit: self.limit })
        } else if self.number == 1
            && [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().any(|m| line.starts_with(m))
        {
            Err(LineFault::ByteOrderMark)
        } else {
            String::from_utf8(line).map_err(|e| LineFault::NotUtf8 { at: e.utf8_error().valid_up_to() + 1 })
        };
        Ok(Some((self.number, text)))
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            if let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
                self.reader.consume(at + 1);
                return Ok(());
            }
            let all = buffer.len();
            self.reader.consume(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[track_caller]
    fn check(bytes: &[u8], expected: &[(usize, Result<&str, LineFault>)]) {
        // A tiny buffer, so that lines span several reads.
        let mut lines = Lines::new(BufReader::with_capacity(3, bytes), 8);
        let mut got = Vec::new();
        while let Some((number, text)) = lines.next().unwrap() {
            got.push((number, text));
        }
        let got: Vec<_> = got.iter().map(|(n, text)| (*n, text.as_deref().map_err(Clone::clone))).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn lines_are_numbered_and_bounded() {
        check(b"", &[]);
        check(b"a\n\nb", &[(1, Ok("a")), (2, Ok("")), (3, Ok("b"))]);
        check(b"12345678\nx\n", &[(1, Ok("12345678")), (2, Ok("x"))]);
        let too_long = || Err(LineFault::TooLong { limit: 8 });
        check(b"123456789\nx\n", &[(1, too_long()), (2, Ok("x"))]);
        check(b"1234567890123456789\nx\n", &[(1, too_long()), (2, Ok("x"))]);
        check(b"1234567890", &[(1, too_long())]);
    }

    #[test]
    fn the_position_of_a_byte_that_is_not_utf_8_is_reported() {
        check(b"ab\xffc\nx", &[(1, Err(LineFault::NotUtf8 { at: 3 })), (2, Ok("x"))]);
        check(b"\xef\xbb\xbfa\nb", &[(1, Err(LineFault::ByteOrderMark)), (2, Ok("b"))]);
        check(b"\xff\xfea\n", &[(1, Err(LineFault::ByteOrderMark))]);
    }
}
