//! `bert completions`: the command line for a shell, made from its definition.

use anyhow::Result;
use clap::Command;
use clap_complete::Shell;

use crate::cli::output::Output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Shell that the script is for
    shell: Shell,
}

pub(crate) fn run(mut command: Command, args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "bert", &mut script);
    let mut output = Output::stdout();
    output.line(String::from_utf8_lossy(&script).trim_end())?;
    output.finish()
}
