//! What people read: tables, the diff of the prompts, the bill.
