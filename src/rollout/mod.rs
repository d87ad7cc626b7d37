//! Runs the graph over queries and re-runs only what a candidate prompt changes.
