//! A cursor over bytes that nobody vouches for: every read is checked against what is left. Knows
//! no format.

use std::ops::Range;

/// What is wrong, without its place; the caller knows that.
pub(super) type Fault = String;

/// A cursor over a whole file.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes that follow.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The place of the next `count` bytes, which are passed over.
    pub(super) fn skip(&mut self, count: u64) -> Result<Range<usize>, Fault> {
        match usize::try_from(count) {
            Ok(count) if count <= self.left() => {
                self.at += count;
                Ok(self.at - count..self.at)
            }
            _ => Err(format!("{count} bytes are called for and {} follow (is the file cut short?)", self.left())),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let place = self.skip(N as u64)?;
        Ok(std::array::from_fn(|i| self.bytes[place.start + i]))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The place of a text, which is UTF-8, of at most `limit` bytes.
    pub(super) fn text(&mut self, limit: usize) -> Result<Range<usize>, Fault> {
        let length = self.u64()?;
        if length > limit as u64 {
            return Err(format!("a text of {length} bytes; at most {limit} are allowed"));
        }
        let place = self.skip(length)?;
        match std::str::from_utf8(&self.bytes[place.clone()]) {
            Ok(_) => Ok(place),
            Err(error) => Err(format!("a text that is not UTF-8: {error}")),
        }
    }

    /// The text of a place that [`text`](Self::text) gave.
    pub(super) fn at_place(&self, place: Range<usize>) -> &'a str {
        std::str::from_utf8(&self.bytes[place]).unwrap_or_default()
    }
}
