//! Keys of `config.json` about rotary position embeddings.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Key of transformers 5 for the parameters of rotary positions.
pub(super) const PARAMETERS: &str = "rope_parameters";

/// Refuses rotary positions that are scaled to longer inputs.
///
/// # Errors
///
/// [`Error::Config`] naming `rope_scaling`.
pub(super) fn refuse_scaling(fields: &Map<String, Value>) -> Result<()> {
    match fields.get("rope_scaling") {
        None | Some(Value::Null) => Ok(()),
        Some(value) => Err(Error::config(
            "rope_scaling",
            format!("is {value}, but rotary positions are computed without scaling: take it out"),
        )),
    }
}

/// The base that an object of [`PARAMETERS`] states, if it states one.
///
/// # Errors
///
/// [`Error::Config`] for anything but the plain kind of rotary positions.
pub(super) fn theta(parameters: &Value) -> Result<Option<f64>> {
    let refuse = |what: &str| {
        let reason = format!("is {parameters}, but {what}");
        Err(Error::config(PARAMETERS, reason))
    };
    let fields = match parameters {
        Value::Null => return Ok(None),
        Value::Object(fields) => fields,
        _ => return refuse("must be an object"),
    };
    for key in ["rope_type", "type"] {
        if fields.get(key).is_some_and(|kind| kind != "default") {
            return refuse("only the rope_type \"default\" is computed");
        }
    }
    let whole = |share: &Value| share.as_f64() == Some(1.0);
    if (fields.get("partial_rotary_factor")).is_some_and(|share| !share.is_null() && !whole(share))
    {
        return refuse("heads are turned as a whole");
    }
    match fields.get("rope_theta") {
        None | Some(Value::Null) => Ok(None),
        Some(theta) => match theta.as_f64() {
            Some(theta) => Ok(Some(theta)),
            None => refuse("rope_theta must be a number"),
        },
    }
}
