//! The only module that reads a clock. Times are reported, and no result depends on one.

use std::time::Instant;

/// Returns the seconds since 1970, for formats that have a date; 0 if the clock says less.
pub fn unix_seconds() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// A stopwatch that measures wall-clock time from its creation.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

/// Returns the CPU seconds that this process has used so far on all cores, in hundredths; `None` if
/// the system does not say. On a shared machine they are a better measure than wall-clock time.
pub fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The program's name is in parentheses and may contain anything; the times are the twelfth and
    // thirteenth fields after it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}
