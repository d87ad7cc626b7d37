//! The record of a run: every event of the search, durable before the next one is acted upon, and read again on resume.
