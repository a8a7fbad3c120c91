//! Measuring one of our devices, inside the process that does nothing else.

use std::collections::BTreeMap;
use std::time::Instant;

use bert_core::agreement::without_dropout;
use bert_core::batch::BertInput;
use bert_core::checkpoint::Checkpoint;
use bert_core::device::{Device, DeviceSpec, Precision, libtorch_info, set_dtype};
use bert_core::inference::{Weights, libtorch_kernels_are_own, prepare, set_precision};
use bert_core::nn::{BertInit, BertModel};
use bert_core::training::{
    MicroBatch, Optimizer, ParameterGradients, PassPrecision, Recipe, TrainableModel,
};
use bert_heads::sentence_embedding::{EmbedderOptions, SentenceEmbedder};
use bert_heads::task::LabelledBatch;
use bert_heads::tasks::sequence_classification::{BertForSequenceClassification, TextTargets};
use bert_pretrain::model::BertForPreTraining;
use bert_pretrain::objective::PreTrainingBatch;
use burn::module::Module;
use burn::tensor::{Distribution, FloatDType, Tensor};
use burn::train::TrainStep;

use crate::contract::{
    Adapter, COMPARED_GRADIENT, COMPARED_ROWS, INT8, Inputs, Job, MEMORY_EVERY, MemoryPoint, Mode,
    Reply, Timing,
};
use crate::error::{Error, Result};
use crate::sampling::sample;
use crate::{fault, memory, peak};

/// Learning rate of the steps that are timed; any does.
const LEARNING_RATE: f64 = 1e-4;

type Values = BTreeMap<String, Vec<f64>>;

/// Iterations that were timed, and the memory in use between them.
struct Iterations {
    timing: Timing,
    memory: Vec<MemoryPoint>,
}

/// Does `job` on the device that `spec` names.
///
/// # Errors
/// If the device or the model does not open, and those of the device.
pub fn measure(job: &Job, spec: &DeviceSpec) -> Result<Reply> {
    fault::inject(job.inputs.shape[0]);
    let precision = match job.dtype.as_str() {
        INT8 => Precision::F32,
        name => name.parse()?,
    };
    let (device, label) = (spec.open()?, spec.to_string());
    let mut weights = Weights::Float;
    match job.mode {
        Mode::Forward | Mode::Embed => {
            let held = set_precision(&device, &label, precision)?;
            weights = if job.dtype == INT8 {
                Weights::Int8
            } else {
                held
            };
        }
        Mode::Backward => set_dtype(&device, &label, precision)?,
        // Weights stay in 32 bits.
        Mode::Train | Mode::Pretrain => {}
    }
    let (values, iterations) = match job.mode {
        Mode::Forward => forward(job, weights, &device),
        Mode::Backward => backward(job, &device.clone().autodiff()),
        Mode::Train => classifier_step(job, precision, &device.clone().autodiff()),
        Mode::Pretrain => pretraining_step(job, precision, &device.clone().autodiff()),
        Mode::Embed => embed(job, weights, &device),
    }?;
    let host_memory = memory::peak_host_bytes();
    let device_memory = reserved(&device);
    let mut software = BTreeMap::new();
    if let (DeviceSpec::LibTorch(_), Some(info)) = (spec, libtorch_info()) {
        software.insert("LibTorch".to_owned(), info.version.to_owned());
        software.insert("LibTorch threads".to_owned(), info.threads.to_string());
        if libtorch_kernels_are_own() {
            software.insert("LibTorch kernels".to_owned(), "own".to_owned());
        }
    }
    Ok(Reply {
        timing: iterations.timing,
        memory: iterations.memory,
        peak_flops: Some(match weights {
            Weights::BFloat16 => product_rate(&device, Precision::F32),
            _ => product_rate(&device, precision),
        }?),
        host_memory,
        device_memory,
        software,
        adapter: spec.adapter().map(|info| Adapter {
            name: info.name,
            driver: info.driver,
            api: info.api,
            kind: info.kind.to_string(),
        }),
        values,
    })
}

fn sync(device: &Device) -> Result<()> {
    device.sync().map_err(|error| Error::Device {
        reason: error.to_string(),
    })
}

/// Times `iteration` together with what it leaves to the device.
///
/// Its result is kept until the device is done: nothing may be left out as unused.
fn timed<T>(
    job: &Job,
    device: &Device,
    mut iteration: impl FnMut() -> Result<T>,
) -> Result<Iterations> {
    sync(device)?;
    let mut count = 0;
    let mut memory = Vec::new();
    let timing: Result<Timing> = sample(&job.limits, || {
        let _result = iteration()?;
        sync(device)?;
        count += 1;
        if count % MEMORY_EVERY == 0 {
            memory.push(MemoryPoint {
                iteration: count,
                host: memory::host_bytes(),
                device: reserved(device),
            });
        }
        Ok(())
    });
    Ok(Iterations {
        timing: timing?,
        memory,
    })
}

/// Bytes that the device's allocator holds, where there is one that says.
fn reserved(device: &Device) -> Option<u64> {
    device.memory_pool_usage().map(|usage| usage.bytes_reserved)
}

fn input(inputs: &Inputs, device: &Device) -> BertInput {
    BertInput::from_attention_mask(
        inputs.input_ids.clone(),
        inputs.token_type_ids.clone(),
        inputs.attention_mask.clone(),
        inputs.shape,
        device,
    )
}

/// Output compared in every mode but embedding: the first token's vector in the first rows.
fn encoder_output(model: &BertModel, inputs: &Inputs, device: &Device) -> Values {
    let sequence = model.forward(input(inputs, device)).sequence_output;
    let rows = inputs.shape[0].min(COMPARED_ROWS);
    let first_tokens = sequence.slice([0..rows, 0..1]);
    let values = first_tokens.into_data().iter::<f64>().collect();
    BTreeMap::from([("output".to_owned(), values)])
}

fn forward(job: &Job, weights: Weights, device: &Device) -> Result<(Values, Iterations)> {
    let model = BertModel::from_dir(&job.model, device)?;
    let model = prepare(model, weights)?;
    let values = encoder_output(&model, &job.inputs, device);
    let input = input(&job.inputs, device);
    let iterations = timed(job, device, || Ok(model.forward(input.clone())))?;
    Ok((values, iterations))
}

fn backward(job: &Job, device: &Device) -> Result<(Values, Iterations)> {
    let model = without_dropout(BertModel::from_dir(&job.model, device)?);
    let mut values = encoder_output(&model.valid(), &job.inputs, &device.clone().inner());
    let input = input(&job.inputs, device);
    let gradients = || {
        let sequence = model.forward(input.clone()).sequence_output;
        let [rows, seq, hidden] = sequence.dims();
        // Not the whole: LayerNorm makes the sum over a vector a constant.
        let half = sequence.slice([0..rows, 0..seq, 0..hidden / 2]);
        half.mean().backward()
    };
    let weight = model.embeddings.layer_norm.gamma.val();
    let gradient = weight.grad(&gradients());
    let gradient = gradient.map(|gradient| gradient.into_data().iter::<f64>().collect());
    values.insert(COMPARED_GRADIENT.to_owned(), gradient.unwrap_or_default());
    let iterations = timed(job, device, || Ok(gradients()))?;
    Ok((values, iterations))
}

fn classifier_step(
    job: &Job,
    precision: Precision,
    device: &Device,
) -> Result<(Values, Iterations)> {
    let checkpoint = Checkpoint::open(&job.model)?;
    let init = BertInit::new(checkpoint.config(), job.seed, device);
    let (model, _) = BertForSequenceClassification::from_encoder(&checkpoint, 2, &init)?;
    let inner = device.clone().inner();
    let values = encoder_output(&model.bert.valid(), &job.inputs, &inner);
    let inputs = job.inputs.clone();
    let rows = inputs.shape[0];
    let batch = LabelledBatch {
        input_ids: inputs.input_ids,
        token_type_ids: inputs.token_type_ids,
        attention_mask: inputs.attention_mask,
        shape: inputs.shape,
        targets: TextTargets::Classes(inputs.classes),
        class_weights: None,
        weight: rows as f64,
    };
    Ok((values, steps(job, precision, model, batch, device)?))
}

fn pretraining_step(
    job: &Job,
    precision: Precision,
    device: &Device,
) -> Result<(Values, Iterations)> {
    let checkpoint = Checkpoint::open(&job.model)?;
    let next_sentence = checkpoint.config().heads.next_sentence;
    let (model, _) =
        BertForPreTraining::from_checkpoint(&checkpoint, next_sentence, job.seed, device)?;
    let inner = device.clone().inner();
    let values = encoder_output(&model.bert.valid(), &job.inputs, &inner);
    let inputs = job.inputs.clone();
    let batch = PreTrainingBatch {
        predictions: inputs.labels.len() as f64,
        rows: inputs.shape[0] as f64,
        real_tokens: 0.0,
        input_ids: inputs.input_ids,
        token_type_ids: inputs.token_type_ids,
        attention_mask: inputs.attention_mask,
        shape: inputs.shape,
        positions: inputs.positions,
        labels: inputs.labels,
        next_sentence: inputs.next_sentence,
    };
    Ok((values, steps(job, precision, model, batch, device)?))
}

/// Steps as the trainer takes them on one device: the batch goes there, both passes, clipping, AdamW.
fn steps<M: TrainableModel>(
    job: &Job,
    precision: Precision,
    model: M,
    data: M::Data,
    device: &Device,
) -> Result<Iterations>
where
    M::Data: Clone,
{
    let inner = device.clone().inner();
    let passes = PassPrecision::new(precision, &inner, &format!("{inner:?}"))?;
    let mut model = Some(model);
    let mut optimizer = Optimizer::new(Recipe::HuggingFace.optimizer());
    let mut seed = job.seed;
    timed(job, device, || {
        seed += 1;
        let batch = MicroBatch {
            data: data.clone(),
            seed,
            loss_scale: 1.0,
            products: passes.products(),
        };
        let Some(current) = model.take() else {
            unreachable!("every step puts the model back");
        };
        let working = passes.working_copy(&current);
        let output = TrainStep::step(&working, batch);
        let gradients = ParameterGradients::take(&working, output.grads);
        drop(working);
        let (moved, _) = optimizer.step(current, gradients, LEARNING_RATE);
        model = Some(moved);
        Ok(())
    })
}

fn embed(job: &Job, weights: Weights, device: &Device) -> Result<(Values, Iterations)> {
    let options = EmbedderOptions {
        weights,
        ..EmbedderOptions::default()
    };
    let embedder = SentenceEmbedder::from_dir(&job.model, &options, device)?;
    let texts: Vec<&str> = job.inputs.texts.iter().map(String::as_str).collect();
    let compared = embedder.embed(&texts[..texts.len().min(COMPARED_ROWS)])?;
    let vectors = compared.iter().flat_map(|embedding| &embedding.values);
    let vectors = vectors.map(|&value| f64::from(value)).collect();
    let iterations = timed(job, device, || Ok(embedder.embed(&texts)?))?;
    Ok((BTreeMap::from([("output".to_owned(), vectors)]), iterations))
}

/// The peak of the device in a float type.
fn product_rate(device: &Device, precision: Precision) -> Result<f64> {
    peak::peak_flops(|size| {
        let matrix = Tensor::<2>::random([size, size], Distribution::Default, device);
        let matrix = matrix.cast(FloatDType::from(precision));
        sync(device)?;
        let start = Instant::now();
        let _product = matrix.clone().matmul(matrix);
        sync(device)?;
        Ok(start.elapsed().as_secs_f64())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agreement::Agreement;
    use crate::contract::Limits;
    use crate::inputs::Words;
    use crate::model;
    use bert_core::config::BertConfig;
    use bert_core::device::test_devices;
    use bert_core::tokenizer::BertTokenizer;

    #[test]
    fn every_mode_is_measured_alike_on_every_device() {
        let dir = tempfile::tempdir().unwrap();
        let config = BertConfig::new(37, 32, 2, 4, 37);
        let devices = test_devices();
        let specs: Vec<DeviceSpec> = devices
            .iter()
            .map(|(label, _)| label.parse().unwrap())
            .collect();
        model::write(&config, 3, &specs[0], dir.path()).unwrap();
        let words = Words::new(
            &BertTokenizer::from_dir(dir.path()).unwrap(),
            &config,
            dir.path(),
        )
        .unwrap();
        for mode in Mode::ALL {
            let job = Job {
                mode,
                model: dir.path().to_owned(),
                dtype: "f32".to_owned(),
                device: "cpu".to_owned(),
                threads: 1,
                compared_gradient: String::new(),
                seed: 3,
                inputs: words.inputs(mode, [3, 7], Some(&[4, 7]), 5),
                limits: Limits {
                    warmup_seconds: 0.0,
                    seconds: 0.0,
                    min_samples: 1,
                    max_samples: 1,
                },
            };
            let mut reference: Option<Values> = None;
            for spec in &specs {
                let reply = measure(&job, spec).unwrap();
                assert_eq!(reply.timing.samples.len(), 1, "{mode} on {spec}");
                assert!(reply.peak_flops.unwrap() > 0.0, "{mode} on {spec}");
                assert!(
                    reply.adapter.is_some_and(|found| !found.name.is_empty()),
                    "{spec}"
                );
                assert_eq!(reply.values["output"].len(), 3 * 32, "{mode} on {spec}");
                let is_zero = |values: &Vec<f64>| values.iter().all(|&value| value == 0.0);
                assert!(!reply.values.values().any(is_zero), "{mode} on {spec}");
                let gradient = reply.values.get(COMPARED_GRADIENT);
                assert_eq!(gradient.is_some(), mode == Mode::Backward);
                let expected = reference.get_or_insert_with(|| reply.values.clone());
                let agreement = Agreement::of(&reply.values, "the first", expected, "f32");
                let agreement = agreement.unwrap();
                assert!(agreement.agrees, "{mode} on {spec}: {agreement:?}");
            }
        }
    }

    #[test]
    fn memory_is_looked_at_every_ten_iterations() {
        let dir = tempfile::tempdir().unwrap();
        let config = BertConfig::new(37, 32, 2, 4, 37);
        let spec: DeviceSpec = test_devices()[0].0.parse().unwrap();
        model::write(&config, 3, &spec, dir.path()).unwrap();
        let words = Words::new(
            &BertTokenizer::from_dir(dir.path()).unwrap(),
            &config,
            dir.path(),
        )
        .unwrap();
        let job = Job {
            mode: Mode::Train,
            model: dir.path().to_owned(),
            dtype: "f32".to_owned(),
            device: "cpu".to_owned(),
            threads: 1,
            compared_gradient: String::new(),
            seed: 3,
            inputs: words.inputs(Mode::Train, [3, 7], None, 5),
            limits: Limits {
                warmup_seconds: 0.0,
                seconds: 0.0,
                min_samples: 38,
                max_samples: 38,
            },
        };
        let memory = measure(&job, &spec).unwrap().memory;
        let iterations: Vec<usize> = memory.iter().map(|point| point.iteration).collect();
        assert_eq!(iterations, [10, 20, 30, 40]);
        if cfg!(target_os = "linux") {
            assert!(
                memory.iter().all(|point| point.host > Some(1 << 20)),
                "{memory:?}"
            );
        }
    }

    #[test]
    fn a_type_that_is_none_is_an_error() {
        let job = Job {
            mode: Mode::Forward,
            model: "no-such-model".into(),
            dtype: "f8".to_owned(),
            device: "cpu".to_owned(),
            threads: 1,
            compared_gradient: String::new(),
            seed: 0,
            inputs: Inputs::default(),
            limits: Limits {
                warmup_seconds: 0.0,
                seconds: 0.0,
                min_samples: 1,
                max_samples: 1,
            },
        };
        let spec = test_devices()[0].0.parse().unwrap();
        let refusal = |job: &Job| measure(job, &spec).unwrap_err().to_string();
        assert!(refusal(&job).contains("f32, f16, bf16"));
        let job = Job {
            dtype: "f32".to_owned(),
            ..job
        };
        assert!(refusal(&job).contains("no-such-model"));
    }
}
