//! A directory with a model of fresh weights, which every process and every peer loads.

use std::path::Path;

use bert_core::checkpoint;
use bert_core::config::BertConfig;
use bert_core::device::{DeviceSpec, TorchDevice};
use bert_core::nn::{BertInit, BertModel};

use crate::error::Result;
use crate::vocabulary::save_tokenizer;

/// Backends that compute on the processor without a driver.
const HOSTS: [DeviceSpec; 3] = [
    DeviceSpec::Flex,
    DeviceSpec::NdArray,
    DeviceSpec::LibTorch(TorchDevice::Cpu),
];

/// Writes a model of `config` with weights drawn from `seed`, and a tokenizer of made-up words.
///
/// The weights pass through a processor backend where the binary has one, else through `device`.
///
/// # Errors
/// If the device does not open or the directory cannot be written.
pub(crate) fn write(config: &BertConfig, seed: u64, device: &DeviceSpec, dir: &Path) -> Result<()> {
    let host = HOSTS.iter().find(|spec| spec.is_compiled());
    let device = host.unwrap_or(device).open()?;
    let init = BertInit::new(config, seed, &device);
    let model = BertModel::new(config, config.family.published.pooler, &init);
    checkpoint::save(dir, &model, config, &config.family.class("Model"))?;
    save_tokenizer(config, dir)
}
