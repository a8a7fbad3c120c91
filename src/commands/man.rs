//! `bert man`: manual pages, made from the definition of the command line.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bert_core::files::write_atomically;
use clap::Command;
use clap_mangen::Man;

use crate::cli::note::note;
use crate::cli::output::{Output, create_dir};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write a page for each command into this directory [default: the page of `bert` to standard output]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn run(command: Command, args: &Args) -> Result<()> {
    let mut command = command.disable_help_subcommand(true);
    // Gives the pages of subcommands their full names.
    command.build();
    let Some(dir) = &args.output else {
        let mut output = Output::stdout();
        output.line(String::from_utf8_lossy(&page(&command)?).trim_end())?;
        return output.finish();
    };
    create_dir(dir)?;
    let pages = write_pages(&command, dir)?;
    note(format_args!("{pages} pages in {}", dir.display()));
    Ok(())
}

/// Writes the pages of `command` and of all below it; how many there are.
fn write_pages(command: &Command, dir: &Path) -> Result<usize> {
    let file = dir.join(Man::new(command.clone()).get_filename());
    write_atomically(file, &page(command)?)?;
    let mut pages = 1;
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        pages += write_pages(below, dir)?;
    }
    Ok(pages)
}

fn page(command: &Command) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(command.clone())
        .render(&mut page)
        .context("cannot write the page")?;
    Ok(page)
}
