//! Whether the run could have reached a network, in one line.

use serde::{Deserialize, Serialize};

/// What the kernel said about the egress lock at the end of the run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EgressLock {
    /// Every thread was locked.
    pub applied: bool,
    /// Threads of the process.
    pub threads: usize,
    /// Of these, threads with a seccomp filter and no-new-privileges.
    pub locked_threads: usize,
    /// Network sockets that the process was started with; the lock does not close them.
    pub inherited_sockets: usize,
    /// Why there is no lock.
    pub reason: Option<String>,
}

impl EgressLock {
    /// The line of the report.
    pub fn line(&self) -> String {
        let Self { applied, threads, locked_threads, inherited_sockets, reason } = self;
        let mut line = match (applied, reason) {
            (true, _) => {
                format!("network   locked: the kernel refuses it to all {threads} threads (seccomp, no new privileges)")
            }
            (false, Some(reason)) => format!("network   NOT locked: {reason}"),
            (false, None) => format!("network   NOT locked: {locked_threads} of {threads} threads are"),
        };
        if *inherited_sockets > 0 {
            line += &format!("; {inherited_sockets} network sockets were open at the start and still are");
        }
        line
    }
}
