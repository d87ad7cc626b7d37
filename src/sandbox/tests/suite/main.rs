//! The sandbox as its users meet it: verdicts, forgeries, and the surroundings it has to work in.
#![cfg(target_os = "linux")]

mod confinement;
mod forgeries;
mod judging;
mod support;
