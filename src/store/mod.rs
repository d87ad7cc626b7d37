//! `run.sqlite`: one file, one writer thread, group commit. Knows rows and durability, not what they mean.
