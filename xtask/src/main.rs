//! The workspace's own chores. `cargo xtask <task>`; one file a task, this one only dispatches.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[allow(
    dead_code,
    unexpected_cfgs,
    unreachable_pub,
    reason = "public data of bert-core, whose features this crate has not"
)]
#[path = "../../bert-core/src/device/backends.rs"]
mod backends;
mod bench;
mod ci;
mod fixtures;
mod kit;
mod launches;
mod layers;
mod legs;
mod libtorch;
mod llvm;
mod parity;
mod peers;
mod python;
mod shell;
mod sid;
mod validation;
mod words;

/// The workspace's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run the standard measurements and refresh docs/benchmarks.md.
    Bench(bench::Options),
    /// Everything CI checks, in its order, with a table of times.
    Ci(ci::Options),
    /// Regenerate the golden files under bert-core/fixtures from a pinned transformers.
    Fixtures(fixtures::Options),
    /// Pack a program, its libraries and a script that measures, for machines without a toolchain.
    Kit(kit::Options),
    /// Count the kernels that a training step and a forward pass launch on a software driver.
    Launches(launches::Options),
    /// Check that imports point down the layers of the workspace and that no files import each other in a circle.
    Layers,
    /// Put a LibTorch that needs no CUDA in place and print what to export.
    Libtorch(libtorch::Options),
    /// Run all tests on several backends and drivers with one build, LibTorch and software Vulkan included.
    Parity(parity::Options),
    /// Put the other implementations in place that `bert bench --peers` measures.
    Peers(peers::Options),
    /// Make a root of Debian sid, which has Vulkan drivers for the processor and LLVM 23, or run a command in it.
    Sid(sid::Options),
    /// Check that doc comments begin with a noun phrase or a verb in the third person.
    Words,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Bench(options) => bench::run(&options),
        Task::Ci(options) => ci::run(&options),
        Task::Fixtures(options) => fixtures::run(&options),
        Task::Kit(options) => kit::run(&options),
        Task::Launches(options) => launches::run(&options),
        Task::Layers => layers::run(),
        Task::Libtorch(options) => libtorch::run(&options),
        Task::Parity(options) => parity::run(&options, &[]),
        Task::Peers(options) => peers::run(&options),
        Task::Sid(options) => sid::run(&options),
        Task::Words => words::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn options_of_the_tasks_do_not_clash() {
        super::Cli::command().debug_assert();
    }
}
