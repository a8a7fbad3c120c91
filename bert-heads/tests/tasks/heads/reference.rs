//! Reference outputs of transformers, and helpers shared by the tests.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::agreement::Trace;
use bert_core::batch::{BertInput, Packing};
use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::device::test_devices;
use bert_heads::Result;
use bert_heads::labels::Labels;
use bert_heads::tasks::sequence_classification::{BertForSequenceClassification, ProblemType};
use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../bert-core/fixtures")
        .join(name)
}

pub(crate) fn open(name: &str) -> Checkpoint {
    Checkpoint::open(fixture(name)).unwrap()
}

pub(crate) fn first_device() -> Device {
    test_devices().swap_remove(0).1
}

/// Reference outputs of transformers for a fixture.
pub(crate) struct Reference {
    bytes: Vec<u8>,
}

impl Reference {
    pub(crate) fn of(name: &str) -> Self {
        let path = fixture(name).join("reference.safetensors");
        Self {
            bytes: fs::read(path).unwrap(),
        }
    }

    pub(crate) fn integers(&self, name: &str) -> (Vec<i64>, Vec<usize>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::I64);
        let (values, _) = tensor.data().as_chunks();
        let values = values.iter().map(|b| i64::from_le_bytes(*b)).collect();
        (values, tensor.shape().to_vec())
    }

    pub(crate) fn floats(&self, name: &str) -> (Vec<f64>, Vec<usize>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::F64);
        let (values, _) = tensor.data().as_chunks();
        let values = values.iter().map(|b| f64::from_le_bytes(*b)).collect();
        (values, tensor.shape().to_vec())
    }

    pub(crate) fn ints<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D, Int> {
        let (values, shape) = self.integers(name);
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// A tensor of the device's float type, which is f32.
    pub(crate) fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let (values, shape) = self.floats(name);
        let values: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// Every float under its name.
    pub(crate) fn trace(&self) -> Trace {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let mut trace = Trace::default();
        for (name, tensor) in tensors.tensors() {
            if tensor.dtype() == Dtype::F64 {
                trace.push(name.clone(), self.floats(&name).0);
            }
        }
        trace
    }

    /// Packed for gradients, where nothing of padding is compared.
    pub(crate) fn input(&self, device: &Device) -> BertInput {
        let (ids, shape) = self.integers("input_ids");
        let (types, _) = self.integers("token_type_ids");
        let (mask, _) = self.integers("attention_mask");
        let mask_pad: Vec<bool> = mask.iter().map(|&mask| mask == 0).collect();
        let shape = [shape[0], shape[1]];
        let packing = Packing::new(&mask_pad, shape, device).filter(|_| device.is_autodiff());
        let input = BertInput::from_attention_mask(ids, types, mask, shape, device);
        BertInput { packing, ..input }
    }
}

pub(crate) fn config_json(dir: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(dir.join("config.json")).unwrap()).unwrap()
}

pub(crate) fn save_sequence(
    model: &BertForSequenceClassification,
    dir: &Path,
    config: &BertConfig,
) -> Result<()> {
    model.save(dir, config, &Labels::of(config)?, ProblemType::of(config)?)
}

/// A batch for every vocabulary here.
pub(crate) fn probe(device: &Device) -> BertInput {
    let ids = vec![5, 6, 7, 8, 9, 10, 11, 0];
    BertInput::from_attention_mask(ids, vec![0; 8], vec![1; 8], [2, 4], device)
}
