//! How much memory the system has left, and how much of it this process holds.

/// Bytes that a new program can use without swapping; `None` where the system does not say.
pub fn free() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

/// What of a process lies in memory, in bytes: its own pages and those of files that it has mapped and touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Resident {
    /// Now.
    pub bytes: u64,
    /// At most, since it started.
    pub peak_bytes: u64,
}

/// What of this process lies in memory; `None` where the system does not say.
pub(super) fn resident() -> Option<Resident> {
    let of = |name| field("/proc/self/status", name);
    Some(Resident { bytes: of("VmRSS:")?, peak_bytes: of("VmHWM:")? })
}

/// A line of a file of `/proc` that gives a size in KiB.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}
