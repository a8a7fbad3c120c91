//! A directory with a model of fresh weights, which every process and every peer loads.

use std::path::Path;

use bert_core::checkpoint;
use bert_core::config::BertConfig;
use bert_core::device::{DeviceSpec, TorchDevice};
use bert_core::tokenizer::{BertTokenizer, TokenizerOptions};

use crate::error::Result;

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
    let model = config.init(seed, &device);
    checkpoint::save(dir, &model, config, "BertModel")?;
    save_tokenizer(config, dir)
}

/// Writes a tokenizer with a word for every id of `config` but those of the special tokens.
pub(crate) fn save_tokenizer(config: &BertConfig, dir: &Path) -> Result<()> {
    const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
    let special = SPECIAL.into_iter().map(str::to_owned);
    let words = (SPECIAL.len()..config.vocab_size).map(|id| format!("w{id}"));
    let options = TokenizerOptions {
        model_max_length: Some(config.max_position_embeddings),
        ..TokenizerOptions::default()
    };
    let tokenizer = BertTokenizer::from_vocab(special.chain(words), &options)?;
    Ok(tokenizer.save(dir)?)
}
