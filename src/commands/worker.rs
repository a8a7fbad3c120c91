//! `bert worker`: this machine's devices for other machines.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use bert_core::device::{
    Device, DeviceSpec, Precision, RemoteToken, Worker, WorkerEvent, WorkerOptions,
    default_key_file, fault,
};
use serde::Serialize;

use crate::cli::interrupt::stop_on_ctrl_c;
use crate::cli::note::note;
use crate::cli::output::Output;
use crate::cli::proof::ProofArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Devices to offer, all of one backend
    #[arg(long, value_name = "LABEL", value_delimiter = ',', required = true)]
    device: Vec<DeviceSpec>,
    /// Address and UDP port to listen on; port 0 takes a free one. Without a token it must be loopback, as 127.0.0.1
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// File with the secret key, made where there is none; labels stay as they are as long as it does [default: worker.key
    /// in the cache directory, BERT_CACHE_DIR or ~/.cache/bert]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Print the labels as a line of JSON on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    proof: ProofArgs,
}

/// Report for scripts.
#[derive(Serialize)]
struct Listening<'a> {
    key: &'a str,
    address: String,
    token: bool,
    devices: Vec<Offer>,
}

#[derive(Serialize)]
struct Offer {
    device: String,
    label: String,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let stop = stop_on_ctrl_c("closing the sessions")?;
    let token = RemoteToken::of_process().map_err(bert_core::Error::from)?;
    let has_token = token.is_some();
    let key_file = args
        .key_file
        .or_else(default_key_file)
        .context("there is no home directory for the key: name a file with --key-file")?;
    let devices: Vec<Device> = args
        .device
        .iter()
        .map(|spec| args.proof.open(spec, &[Precision::F32]))
        .collect::<Result<_, _>>()?;
    let options = WorkerOptions {
        listen: args.listen,
        key_file,
        token,
        observer: Arc::new(|event| match event {
            WorkerEvent::Admitted { client, device } => {
                note(format_args!("{client} uses device {device}"));
            }
            WorkerEvent::Refused { client } => {
                note(format_args!(
                    "{client} is refused: its token is wrong or missing"
                ));
            }
            _ => {}
        }),
    };
    let worker = Worker::start(devices, options).map_err(bert_core::Error::from)?;
    let offers: Vec<Offer> = args
        .device
        .iter()
        .enumerate()
        .map(|(index, spec)| Offer {
            device: spec.to_string(),
            label: worker.label(index).to_string(),
        })
        .collect();
    for offer in &offers {
        note(format_args!("{} is {}", offer.device, offer.label));
    }
    if !has_token {
        note("without a token, for programs of this machine alone");
    }
    if args.json {
        let mut output = Output::stdout();
        output.json(&Listening {
            key: &worker.address().key,
            address: worker.address().socket(),
            token: has_token,
            devices: offers,
        })?;
        output.finish()?;
    }
    let stopped = || {
        // One client's, which hears of it itself.
        if let Some(fault) = fault::first() {
            note(format_args!("a session failed: {}", fault.cause));
            fault::forget();
        }
        stop.is_set()
    };
    worker.run_until(stopped).map_err(bert_core::Error::from)?;
    note("worker: stopped");
    Ok(())
}
