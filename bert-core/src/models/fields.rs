//! Fields of `config.json` that are left among the rest, which is written back as it came.

use serde_json::{Map, Value};

use crate::activation::HiddenAct;
use crate::config::BertConfig;
use crate::error::{Error, Result};

/// The value of a key that is not null.
pub(super) fn stated<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    fields.get(key).filter(|value| !value.is_null())
}

/// The value of a key as `convert` takes it, or `absent`; `expected` describes what it must be.
pub(super) fn value_of<T>(
    fields: &Map<String, Value>,
    key: &str,
    absent: T,
    expected: &str,
    convert: impl Fn(&Value) -> Option<T>,
) -> Result<T> {
    match stated(fields, key) {
        None => Ok(absent),
        Some(value) => convert(value).ok_or_else(|| wrong(key, value, expected)),
    }
}

/// A key that is true or false.
pub(super) fn flag(fields: &Map<String, Value>, key: &str, absent: bool) -> Result<bool> {
    value_of(fields, key, absent, "true or false", Value::as_bool)
}

/// A key that is a whole number, negative ones among them.
pub(super) fn integer(fields: &Map<String, Value>, key: &str, absent: i64) -> Result<i64> {
    value_of(fields, key, absent, "a whole number", Value::as_i64)
}

/// A key that names the activation of a head, "tanh" among them.
pub(super) fn activation(
    fields: &Map<String, Value>,
    key: &str,
    absent: HiddenAct,
) -> Result<HiddenAct> {
    value_of(
        fields,
        key,
        absent,
        "a known activation",
        |value| match value.as_str()? {
            "tanh" => Some(HiddenAct::Tanh),
            name => name.parse().ok(),
        },
    )
}

/// Takes out keys of which one value alone is computed, each with that value; a number is the same as a whole one and with a
/// fraction of zero.
///
/// # Errors
///
/// [`Error::Config`] naming the first key with another value.
pub(super) fn only(fields: &mut Map<String, Value>, expected: &[(&str, Value)]) -> Result<()> {
    let is_equal = |value: &Value, only: &Value| match (value.as_f64(), only.as_f64()) {
        (Some(value), Some(only)) => value == only,
        _ => value == only,
    };
    for (key, only) in expected {
        match fields.shift_remove(*key) {
            Some(value) if !value.is_null() && !is_equal(&value, only) => {
                let reason = format!("is {value}, but only {only} is computed");
                return Err(Error::config(*key, reason));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses a stated width of heads that is not that of `config`.
///
/// # Errors
///
/// [`Error::Config`] naming `head_dim`.
pub(super) fn check_head_size(fields: &Map<String, Value>, config: &BertConfig) -> Result<()> {
    let width = config.hidden_size.checked_div(config.num_attention_heads);
    match stated(fields, "head_dim") {
        Some(size) if size.as_u64() != width.map(|width| width as u64) => {
            let width = width.unwrap_or_default();
            let reason = format!("is {size}, but heads have the width {width}");
            Err(Error::config("head_dim", reason))
        }
        _ => Ok(()),
    }
}

/// The error of a key whose value is not what it must be.
pub(super) fn wrong(key: &str, value: &Value, expected: &str) -> Error {
    Error::config(key, format!("is {value}, but must be {expected}"))
}
