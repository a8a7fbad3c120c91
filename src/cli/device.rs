//! The options that choose a device.

use anyhow::{Result, bail};
use bert_core::device::{Device, DeviceSpec, Precision, set_dtype};

use bert_core::inference::{Weights, set_precision};

use super::note::note;
use super::proof::ProofArgs;

#[derive(clap::Args)]
pub(crate) struct DeviceArgs {
    /// Device to compute on, such as flex, libtorch:cuda:0 or wgpu:discrete:0 [default: the
    /// environment variable BERT_DEVICE, else a GPU if there is one, else the processor]
    #[arg(long, value_name = "LABEL")]
    device: Option<DeviceSpec>,
    /// Float type to compute in: f32, f16 or bf16
    #[arg(long, value_name = "TYPE", default_value_t)]
    dtype: Precision,
    #[command(flatten)]
    proof: ProofArgs,
}

impl DeviceArgs {
    /// Opens the device, ready to compute in the type asked for, and says on standard error which
    /// it is.
    pub(crate) fn open(&self) -> Result<Device> {
        self.open_by(set_dtype).map(|(device, ())| device)
    }

    /// Opens the device for a model that only infers, as [`open`](Self::open) does, and says how
    /// its weights are held.
    pub(crate) fn open_for_inference(&self, weights: &WeightArgs) -> Result<(Device, Weights)> {
        if weights.int8 && self.dtype != Precision::F32 {
            bail!(
                "--int8 and --dtype {}: weights are held in one type, use either",
                self.dtype
            );
        }
        let (device, held) = self.open_by(set_precision)?;
        Ok((device, if weights.int8 { Weights::Int8 } else { held }))
    }

    fn open_by<T>(
        &self,
        set: impl FnOnce(&Device, &str, Precision) -> bert_core::Result<T>,
    ) -> Result<(Device, T)> {
        let spec = match &self.device {
            Some(spec) => spec.clone(),
            None => DeviceSpec::default_device()?,
        };
        let device = self.proof.open(&spec, &[self.dtype])?;
        let settled = set(&device, &spec.to_string(), self.dtype)?;
        match self.dtype {
            Precision::F32 => note(format_args!("device: {spec}")),
            dtype => note(format_args!("device: {spec}, {dtype}")),
        }
        Ok((device, settled))
    }
}

/// The option that says how weights are held.
#[derive(clap::Args)]
pub(crate) struct WeightArgs {
    /// Hold the encoder's weights in 8 bits, on flex: a quarter of their memory, and faster on
    /// processors with AVX-512 VNNI or AMX, which `bert doctor` looks for
    #[arg(long)]
    int8: bool,
}
