//! Small graphs for the tests of this module and of those above it.
