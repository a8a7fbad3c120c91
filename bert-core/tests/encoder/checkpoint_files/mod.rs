//! Checkpoints as tensors by name, to change them and to compare models.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bert_core::checkpoint::save;
use bert_core::config::BertConfig;
use bert_core::nn::BertModel;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors, serialize};

/// Type, shape and bytes by name.
pub(crate) type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// Changes the tensors of `model.safetensors`.
pub(crate) fn rewrite(dir: &Path, change: impl FnOnce(&mut Tensors)) {
    let path = dir.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        let tensor = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        (name, tensor)
    });
    let mut tensors: Tensors = tensors.collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        let view = TensorView::new(*dtype, shape.clone(), data).unwrap();
        (name.as_str(), view)
    });
    fs::write(path, serialize(views, None).unwrap()).unwrap();
}

/// Every value of a model, to the bit.
pub(crate) fn values(model: &BertModel) -> Vec<(String, Vec<u8>)> {
    let dir = tempfile::tempdir().unwrap();
    let config = BertConfig::new(1, 1, 1, 1, 1);
    save(dir.path(), model, &config, "BertModel").unwrap();
    let bytes = fs::read(dir.path().join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    let mut values: Vec<_> = tensors
        .map(|(name, view)| (name, view.data().to_vec()))
        .collect();
    values.sort();
    values
}
