//! `bert serve`: this machine's devices for others.

use std::net::TcpListener;

use anyhow::{Context, Result};
use bert_core::device::{Device, DeviceSpec, serve};

use crate::output::note;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Devices to offer, all of one backend.
    #[arg(long, value_name = "LABEL", value_delimiter = ',', required = true)]
    device: Vec<DeviceSpec>,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: String,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let devices: Vec<Device> = args
        .device
        .iter()
        .map(DeviceSpec::open)
        .collect::<Result<_, _>>()?;
    let listener = TcpListener::bind(&args.listen)
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr().context("the socket has no address")?;
    for (index, spec) in args.device.iter().enumerate() {
        note(format_args!("{spec} is remote:{address}:{index}"));
    }
    Ok(serve(devices, listener)?)
}
