//! Measures how much memory the system has left for this process, and how much this process holds.

use std::path::{Path, PathBuf};

/// Returns the bytes that this process can still use without swapping and without being killed:
/// what the system has, or less where a control group (a container) allows less. Returns `None`
/// where the system does not say.
pub fn free() -> Option<u64> {
    let system = field("/proc/meminfo", "MemAvailable:").or_else(total);
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok();
    let group = groups.and_then(|groups| left_in_groups(&groups, Path::new("/sys/fs/cgroup")));
    system.into_iter().chain(group).min()
}

/// Returns all memory of a Mac; macOS has no single number for what is left.
fn total() -> Option<u64> {
    if !cfg!(target_os = "macos") {
        return None;
    }
    let output = std::process::Command::new("/usr/sbin/sysctl").args(["-n", "hw.memsize"]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Returns what the strictest of the control groups leaves. `groups` is the text of
/// `/proc/self/cgroup`, and `root` is where the groups are mounted.
fn left_in_groups(groups: &str, root: &Path) -> Option<u64> {
    let left = groups.lines().filter_map(|line| {
        let [_, controllers, path] = line.splitn(3, ':').collect::<Vec<_>>()[..] else { return None };
        if controllers.is_empty() {
            return left_above(root, path, ["memory.max", "memory.current"], "inactive_file ");
        }
        let memory = controllers.split(',').any(|controller| controller == "memory");
        let files = ["memory.limit_in_bytes", "memory.usage_in_bytes"];
        memory.then(|| left_above(&root.join("memory"), path, files, "total_inactive_file ")).flatten()
    });
    left.min()
}

/// Returns the least that the group at `path` or any group above it leaves: its limit minus what it
/// uses. Cached pages of files that were not used lately do not count as used.
fn left_above(mount: &Path, path: &str, [limit, usage]: [&str; 2], unused: &str) -> Option<u64> {
    let inside: PathBuf =
        Path::new(path).components().filter(|part| matches!(part, std::path::Component::Normal(_))).collect();
    let number = |folder: &Path, file: &str| -> Option<u64> {
        std::fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
    };
    let of_group = |folder: PathBuf| {
        // A group without a limit has the word `max`, or no file.
        let limit = number(&folder, limit)?;
        let statistics = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let unused = statistics.lines().find_map(|line| line.strip_prefix(unused)?.trim().parse().ok()).unwrap_or(0);
        let used = number(&folder, usage).unwrap_or(0).saturating_sub(unused);
        Some(limit.saturating_sub(used))
    };
    inside.ancestors().filter_map(|group| of_group(mount.join(group))).min()
}

/// The resident memory of a process, in bytes: its own pages, and those of mapped files that it has
/// touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Resident {
    /// The present size.
    pub bytes: u64,
    /// The largest size since the process started.
    pub peak_bytes: u64,
}

/// Returns this process's resident memory; `None` where the system does not say.
pub(crate) fn resident() -> Option<Resident> {
    let of = |name| field("/proc/self/status", name);
    Some(Resident { bytes: of("VmRSS:")?, peak_bytes: of("VmHWM:")? })
}

/// Reads a size in KiB from a line of a file of `/proc`, and returns it in bytes.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let left = |groups: &str| left_in_groups(groups, root.path());
        assert_eq!(left("0::/a/b\n"), None);
        put("a/b/memory.max", "max\n");
        assert_eq!(left("0::/a/b\n"), None);
        put("a/memory.max", "1000\n");
        put("a/memory.current", "400\n");
        assert_eq!(left("0::/a/b\n"), Some(600));
        put("a/memory.stat", "anon 300\ninactive_file 100\n");
        assert_eq!(left("0::/a/b\n"), Some(700));
        put("memory.max", "50\n");
        assert_eq!(left("0::/a/b\n"), Some(50), "a container sees its own group as the root");
        put("memory/c/memory.limit_in_bytes", "30\n");
        put("memory/c/memory.usage_in_bytes", "40\n");
        assert_eq!(left("5:cpu,memory:/c\n0::/\n"), Some(0), "version 1");
        assert_eq!(left("5:cpu:/c\n"), None);
        assert_eq!(left("0::/../../a\n"), Some(50), "no way out of the root");
        assert_eq!(left("nonsense"), None);
    }
}
