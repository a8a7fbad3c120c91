//! The forward pass of BERT in candle, for `bert bench --peers candle`: reads a job, prints a reply.

#[allow(dead_code, reason = "the part of the contract that a peer needs")]
#[path = "../../../src/contract.rs"]
mod contract;
#[allow(dead_code, reason = "the peak is enough here")]
#[path = "../../../src/memory.rs"]
mod memory;
#[path = "../../../src/peak.rs"]
mod peak;
#[path = "../../../src/sampling.rs"]
mod sampling;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use contract::{COMPARED_ROWS, Job, Mode, Reply};

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("usage: bert-candle JOB.json")?;
    let job: Job = serde_json::from_slice(&std::fs::read(path)?)?;
    println!("{}", serde_json::to_string(&measure(&job)?)?);
    Ok(())
}

fn measure(job: &Job) -> Result<Reply> {
    if job.mode != Mode::Forward || job.dtype != "f32" || job.device != "cpu" {
        bail!("this peer measures the forward pass in f32 on the processor only");
    }
    let device = Device::Cpu;
    let config: Config = serde_json::from_slice(&std::fs::read(job.model.join("config.json"))?)?;
    let weights = std::fs::read(job.model.join("model.safetensors"))?;
    let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &device)?;
    let model = BertModel::load(weights, &config)?;

    let shape = job.inputs.shape;
    let tensor = |values: &[i64]| Tensor::from_slice(values, (shape[0], shape[1]), &device);
    let ids = tensor(&job.inputs.input_ids)?;
    let types = tensor(&job.inputs.token_type_ids)?;
    let mask = tensor(&job.inputs.attention_mask)?;
    let forward = || model.forward(&ids, &types, Some(&mask));

    let output = forward()?.narrow(0, 0, shape[0].min(COMPARED_ROWS))?;
    let first_tokens = output.narrow(1, 0, 1)?.flatten_all()?.to_vec1::<f32>()?;
    let output = first_tokens.into_iter().map(f64::from).collect();
    let timing = sampling::sample(&job.limits, || forward().map(drop))?;
    let host_memory = memory::peak_host_bytes();
    let product = |size: usize| -> Result<f64> {
        let matrix = Tensor::rand(-1f32, 1f32, (size, size), &device)?;
        let start = Instant::now();
        matrix.matmul(&matrix)?;
        Ok(start.elapsed().as_secs_f64())
    };
    Ok(Reply {
        timing,
        peak_flops: Some(peak::peak_flops(product)?),
        host_memory,
        software: BTreeMap::from([("candle".to_owned(), CANDLE.to_owned())]),
        values: BTreeMap::from([("output".to_owned(), output)]),
        ..Reply::default()
    })
}

/// The release that Cargo.toml pins.
const CANDLE: &str = "0.11.1";
