//! Whether the run could have reached a network, as one line.

use serde::{Deserialize, Serialize};

/// The state of the egress lock at the end of the run, as the kernel reports it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EgressLock {
    /// Whether every thread was locked.
    pub applied: bool,
    /// The number of threads of the process.
    pub threads: usize,
    /// The number of these with a seccomp filter and no-new-privileges.
    pub locked_threads: usize,
    /// The number of network sockets that the process inherited at its start; the lock does not
    /// close them.
    pub inherited_sockets: usize,
    /// The addresses that connections could be made to, through the broker, for models behind
    /// servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The reason if there is no lock.
    pub reason: Option<String>,
}

impl EgressLock {
    /// Returns the line of the report.
    pub fn line(&self) -> String {
        let Self { applied, threads, locked_threads, inherited_sockets, endpoints, reason } = self;
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
        if !endpoints.is_empty() {
            line += &format!("; only a broker process could connect, to {}", endpoints.join(", "));
        }
        line
    }
}
