//! The only place that reads a clock. Times are reported, never decided upon: no result may depend
//! on one.

use std::time::Instant;

/// Measures elapsed wall time from its creation.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

/// Seconds that this process has computed so far, on all cores, in hundredths; `None` where the
/// system does not say. On a shared machine they tell more than the clock.
pub fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program stands in parentheses and may hold anything; the times are the
    // twelfth and thirteenth field after it.
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
