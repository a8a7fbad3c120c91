//! Keys of `config.json` about rotary position embeddings.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Key of transformers 5 for the parameters of rotary positions.
pub(super) const PARAMETERS: &str = "rope_parameters";
/// Key for their scaling before that.
pub(super) const SCALING: &str = "rope_scaling";

/// Kinds of rotary positions: without scaling, and those of [`Scaling`].
const DEFAULT: &str = "default";
const LINEAR: &str = "linear";
const NTK: &str = "ntk";

/// Parameters of rotary positions, as an object of `config.json` states them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parameters {
    /// Base of the wavelengths, if it is stated.
    pub(super) theta: Option<f64>,
    /// Scaling to longer inputs.
    pub(super) scaling: Scaling,
}

/// Scaling of rotary positions to longer inputs, by a factor of at least 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scaling {
    /// No scaling.
    None,
    /// All positions are divided by the factor.
    Linear(f64),
    /// The longest wavelength is stretched by the factor, shorter ones by less, whatever the length of an input ("NTK-aware").
    Ntk(f64),
}

/// Refuses rotary positions that are scaled to longer inputs.
///
/// # Errors
///
/// [`Error::Config`] naming `rope_scaling`.
pub(super) fn refuse_scaling(fields: &Map<String, Value>) -> Result<()> {
    match fields.get(SCALING) {
        None | Some(Value::Null) => Ok(()),
        Some(value) => Err(Error::config(
            SCALING,
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
    Ok(of_kinds(PARAMETERS, parameters, &[DEFAULT])?.theta)
}

/// The parameters in the object of a key, scaled or not.
///
/// # Errors
///
/// [`Error::Config`] naming `key` for a kind of scaling that is not computed.
pub(super) fn parameters(key: &str, value: &Value) -> Result<Parameters> {
    of_kinds(key, value, &[DEFAULT, LINEAR, NTK])
}

fn of_kinds(key: &str, value: &Value, kinds: &[&str]) -> Result<Parameters> {
    let refuse = |what: &str| Err(Error::config(key, format!("is {value}, but {what}")));
    let fields = match value {
        Value::Null => {
            return Ok(Parameters {
                theta: None,
                scaling: Scaling::None,
            });
        }
        Value::Object(fields) => fields,
        _ => return refuse("must be an object"),
    };
    let stated = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let whole = |share: &Value| share.as_f64() == Some(1.0);
    if stated("partial_rotary_factor").is_some_and(|share| !whole(share)) {
        return refuse("heads are turned as a whole");
    }
    if stated("mixed_b").is_some() {
        return refuse("a mixture of scalings (mixed_b) is not computed");
    }
    let theta = match stated("rope_theta").map(Value::as_f64) {
        None => None,
        Some(Some(theta)) => Some(theta),
        Some(None) => return refuse("rope_theta must be a number"),
    };
    let kind = match ["rope_type", "type"].map(stated) {
        [Some(kind), Some(other)] if kind != other => {
            return refuse("its rope_type and its type are two kinds");
        }
        [kind, other] => kind.or(other),
    };
    let kind = kind.map_or(DEFAULT, |kind| kind.as_str().unwrap_or_default());
    if !kinds.contains(&kind) {
        let known = kinds.join(", ");
        return refuse(&format!(
            "rotary positions are computed of the rope_type {known} alone"
        ));
    }
    let factor = stated("factor").and_then(Value::as_f64);
    let factor = factor.filter(|factor| factor.is_finite() && *factor >= 1.0);
    let scaling = match (kind, factor) {
        (LINEAR, Some(factor)) => Scaling::Linear(factor),
        (NTK, Some(factor)) => Scaling::Ntk(factor),
        (LINEAR | NTK, None) => return refuse("its factor must be a number of at least 1"),
        _ => Scaling::None,
    };
    Ok(Parameters { theta, scaling })
}
