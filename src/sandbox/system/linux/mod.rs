//! Linux: Landlock for paths, seccomp for system calls, resource limits, namespaces where there are
//! any.

mod confinement;
mod filter;
mod launch;
mod paths;

pub(crate) use confinement::Confinement;
