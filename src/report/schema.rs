//! docs/schema/result.json, which says what is in result.json. After a change of [`RunReport`],
//! `UPDATE_EXPECT=1 cargo test --lib schema` writes it anew.

use super::RunReport;
use crate::base::json_schema::{generate, text};
use expect_test::expect_file;
use schemars::generate::Contract;

/// The schema allows further fields: later programs of the same schema version may add some.
#[test]
fn the_schema_of_the_result_is_current() {
    let mut schema = generate::<RunReport>(Contract::Serialize);
    schema["title"] = "maspo result.json".into();
    expect_file!["../../docs/schema/result.json"].assert_eq(&text(&schema));
}
