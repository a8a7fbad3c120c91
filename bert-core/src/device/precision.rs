//! The element type a device computes in.

use std::str::FromStr;

use burn::tensor::{DeviceError, FloatDType};

use crate::device::Device;
use crate::error::{Error, Result};

/// A float type to compute in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum Precision {
    /// 32 bits, which every device has.
    #[default]
    F32,
    /// IEEE half precision.
    F16,
    /// 16 bits with the exponent range of [`F32`](Self::F32).
    BF16,
}

impl Precision {
    /// Every precision, widest first.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::BF16];
}

impl From<Precision> for FloatDType {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::F16 => Self::F16,
            Precision::BF16 => Self::BF16,
        }
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let lower = name.trim().to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|precision| precision.to_string() == lower)
            .ok_or_else(|| Error::config("dtype", format!("`{name}` is not one of f32, f16, bf16")))
    }
}

/// Makes `precision` the float type of everything created on `device` from now on.
///
/// A device's type is settled once for the process, by this call or by the first tensor made on
/// it: choose it before the model is built. Asking for the type it has already is no error.
/// `label` is how messages call the device.
///
/// # Errors
/// [`Error::DTypeNotSupported`] when the device does not compute in it, and
/// [`Error::DTypeSettled`] when it computes in another already.
pub fn set_dtype(device: &Device, label: &str, precision: Precision) -> Result<()> {
    let dtype = FloatDType::from(precision);
    let unsupported = || Error::DTypeNotSupported {
        label: label.to_owned(),
        dtype: precision.to_string(),
        supported: Precision::ALL
            .into_iter()
            .filter(|&other| device.supports_dtype(FloatDType::from(other)))
            .map(|other| other.to_string())
            .collect::<Vec<_>>()
            .join(", "),
    };
    if !device.supports_dtype(dtype) {
        return Err(unsupported());
    }
    match device.clone().configure(dtype) {
        Ok(()) => Ok(()),
        Err(DeviceError::AlreadyInitialized { .. }) => {
            let settled = device.settings().float_dtype;
            if settled == dtype {
                return Ok(());
            }
            Err(Error::DTypeSettled {
                label: label.to_owned(),
                dtype: precision.to_string(),
                settled: format!("{settled:?}").to_ascii_lowercase(),
            })
        }
        Err(_) => Err(unsupported()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_print() {
        for precision in Precision::ALL {
            assert_eq!(
                precision.to_string().parse::<Precision>().unwrap(),
                precision
            );
        }
        assert_eq!("BF16".parse::<Precision>().unwrap(), Precision::BF16);
        let error = "f8".parse::<Precision>().unwrap_err().to_string();
        assert!(error.contains("f32, f16, bf16"), "{error}");
    }
}
