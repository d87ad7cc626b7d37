//! The sizes that decode steps are rounded up to: one captured graph each.

/// Rows of the largest decode step that is captured.
pub(super) const MOST_ROWS: usize = 128;

/// Keys of the shortest bucket.
const LEAST_KEYS: usize = 256;

/// Keys that attention takes at once.
const CHUNK_KEYS: usize = 64;

/// A size of decode steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Bucket {
    /// Rows, filling ones included.
    pub(super) rows: usize,
    /// No row sees more keys.
    pub(super) keys: usize,
}

impl Bucket {
    /// The smallest bucket with room for `rows` rows that see up to `keys` keys each, of
    /// `positions` that there are: up to 16 rows every number, then every eighth; keys in powers of
    /// two, the last one cut off where positions end. `None` beyond the largest.
    pub(super) fn of(rows: usize, keys: usize, positions: usize) -> Option<Self> {
        let rounded = if rows <= 16 { rows } else { rows.next_multiple_of(8) };
        let all = positions.next_multiple_of(CHUNK_KEYS);
        (1..=MOST_ROWS)
            .contains(&rounded)
            .then(|| Self { rows: rounded, keys: keys.next_power_of_two().max(LEAST_KEYS).min(all) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_room_and_little_more() {
        for rows in 1..=MOST_ROWS {
            let bucket = Bucket::of(rows, 700, 4096).unwrap();
            assert!(bucket.rows >= rows && bucket.rows < rows + 8 && bucket.keys == 1024);
            assert!(rows > 16 || bucket.rows == rows);
        }
        assert_eq!(Bucket::of(10, 1, 4096).unwrap(), Bucket { rows: 10, keys: 256 });
        assert_eq!(Bucket::of(10, 900, 1000).unwrap().keys, 1024);
        assert_eq!(Bucket::of(10, 35_000, 40_960).unwrap().keys, 40_960);
        assert_eq!(Bucket::of(10, 90, 100).unwrap().keys, 128);
        assert_eq!((Bucket::of(0, 1, 100), Bucket::of(MOST_ROWS + 1, 1, 100)), (None, None));
    }
}
