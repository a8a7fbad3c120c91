//! Configurations for the tests of families.

use serde_json::Value;

use crate::config::BertConfig;
use crate::error::Result;

/// The configuration of `fields`, with `other` in place of those of the same name.
pub(super) fn config(mut fields: Value, other: Value) -> Result<BertConfig> {
    let all = fields.as_object_mut().expect("fields are an object");
    all.extend(other.as_object().expect("fields are an object").clone());
    BertConfig::from_json(all.clone())
}
