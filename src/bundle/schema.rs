//! docs/schema/bundle.json, which says what is in a bundle. After a change of [`Bundle`],
//! `UPDATE_EXPECT=1 cargo test --lib schema` writes it anew.

use super::Bundle;
use crate::base::json_schema::{generate, text};
use expect_test::expect_file;
use schemars::generate::Contract;

/// The schema allows further fields: later programs of the same schema version may add some.
#[test]
fn the_schema_of_bundles_is_current() {
    let mut schema = generate::<Bundle>(Contract::Serialize);
    schema["title"] = "maspo bundle.json".into();
    expect_file!["../../docs/schema/bundle.json"].assert_eq(&text(&schema));
}
