//! The legs of the parity run: each a set of devices on one driver with the tests that run there.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{shell, validation};

/// The Vulkan drivers of the root, by name, with their manifests in it.
pub(crate) const DRIVERS: [(&str, &str); 2] = [
    ("llvmpipe", "/usr/share/vulkan/icd.d/lvp_icd.json"),
    (
        "SwiftShader",
        "/usr/lib/swiftshader/vk_swiftshader_icd.json",
    ),
];

const MESA: usize = 0;
const SWIFTSHADER: usize = 1;

/// Operations and the whole network, of the crate's tests by their module.
pub(crate) const CORE: Run = filtered("encoder", &["ops::", "packing::", "parity::"]);
/// The whole network on another driver or compiler.
const NETWORK: Run = filtered("encoder", &["packing::", "parity::"]);
/// Families whose blocks differ; the others have the blocks of one of these.
const BLOCKS: (&str, &str) = ("BERT_TEST_FAMILIES", "bert,mpnet,modernbert,deberta-v2,gte");
/// Logits, losses and gradients of every head.
const HEADS: Run = filtered("tasks", &["parity::", "masked_lm::"]);
/// Twenty steps of pretraining by every recipe, and the loss of replaced-token detection.
const CURVES: Run = filtered("training", &["curves::", "replaced_tokens::"]);
/// Defects of Burn and CubeCL.
pub(crate) const UPSTREAM: Run = filtered("upstream", &[]);

/// A part of the parity run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Leg {
    /// All tests on Flex, NdArray and LibTorch
    Processors,
    /// SPIR-V on Mesa's llvmpipe
    MesaSpirv,
    /// Upstream's defects and devices that fail, through SPIR-V on Mesa's llvmpipe
    MesaFaults,
    /// f16 through SPIR-V on Mesa's llvmpipe, without its cooperative matrices
    MesaHalf,
    /// f16 through SPIR-V on Mesa's llvmpipe, with its cooperative matrices
    MesaHalfMatrices,
    /// SPIR-V on Mesa's llvmpipe under the Khronos validation layer
    MesaValidated,
    /// WGSL on Mesa's llvmpipe
    MesaWgsl,
    /// WGSL on SwiftShader
    SwiftshaderWgsl,
}

/// The shader language that CubeCL compiles to.
///
/// A build with `vulkan` takes SPIR-V wherever the driver has Vulkan's memory model, for the label `wgpu` as well; WGSL is
/// for the others, and a layer that hides the feature makes one of them of any driver.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compiler {
    SpirV,
    /// SPIR-V for a driver whose cooperative matrices are hidden.
    SpirVWithoutMatrices,
    Wgsl,
}

impl Compiler {
    /// Vulkan feature that the layer hides, so that CubeCL compiles with this compiler.
    fn hidden(self) -> Option<&'static str> {
        match self {
            Self::SpirV => None,
            Self::SpirVWithoutMatrices => Some("cooperativeMatrix"),
            Self::Wgsl => Some("vulkanMemoryModel"),
        }
    }
}

/// One call of `cargo test`.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// Test target; `None` for all.
    target: Option<&'static str>,
    /// Parts of the tests' names, one of which has to be there; none for all.
    filters: &'static [&'static str],
}

const ALL: Run = Run {
    target: None,
    filters: &[],
};

const fn filtered(target: &'static str, filters: &'static [&'static str]) -> Run {
    Run {
        target: Some(target),
        filters,
    }
}

impl Run {
    /// Arguments of `cargo test` after those that build.
    pub(crate) fn apply(self, cargo: &mut Command) {
        if let Some(target) = self.target {
            cargo.args(["--test", target]);
        }
        if !self.filters.is_empty() {
            cargo.arg("--").args(self.filters);
        }
    }
}

struct Plan {
    devices: &'static str,
    driver: Option<(usize, Compiler)>,
    runs: &'static [Run],
    /// Calls that `--full` adds.
    more: &'static [Run],
    variables: &'static [(&'static str, &'static str)],
}

impl Leg {
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value().expect("no leg is hidden");
        value.get_name().to_owned()
    }

    /// True if it is left to `--full`: Mesa compiles kernels with cooperative matrices for many minutes.
    pub(crate) fn is_long(self) -> bool {
        self == Self::MesaHalfMatrices
    }

    /// True if it needs the root with drivers.
    pub(crate) fn has_driver(self) -> bool {
        self.plan().driver.is_some()
    }

    fn plan(self) -> Plan {
        match self {
            Self::Processors => Plan {
                devices: "flex,ndarray,libtorch",
                driver: None,
                runs: &[ALL],
                more: &[],
                // No graphics driver that the machine may have: listing adapters starts them.
                variables: &[("VK_DRIVER_FILES", "/dev/null")],
            },
            Self::MesaSpirv => Plan {
                devices: "vulkan:cpu",
                driver: Some((MESA, Compiler::SpirV)),
                runs: &[CORE],
                more: &[HEADS, CURVES],
                variables: &[],
            },
            Self::MesaFaults => Plan {
                runs: const {
                    &[
                        UPSTREAM,
                        filtered("faults", &[]),
                        filtered("cli", &["proof"]),
                    ]
                },
                more: &[],
                ..Self::MesaSpirv.plan()
            },
            Self::MesaHalf => Plan {
                devices: "vulkan:cpu",
                driver: Some((MESA, Compiler::SpirVWithoutMatrices)),
                runs: const { &[filtered("half", &[])] },
                more: &[],
                variables: &[("BERT_TEST_DTYPE", "f16")],
            },
            Self::MesaHalfMatrices => Plan {
                driver: Some((MESA, Compiler::SpirV)),
                ..Self::MesaHalf.plan()
            },
            Self::MesaValidated => Plan {
                devices: "vulkan:cpu",
                driver: Some((MESA, Compiler::SpirV)),
                runs: const { &[filtered("encoder", &["ops::"])] },
                more: &[],
                variables: validation::VARIABLES,
            },
            Self::MesaWgsl => Plan {
                devices: "wgpu:cpu",
                driver: Some((MESA, Compiler::Wgsl)),
                runs: const { &[filtered("encoder", &["parity::"])] },
                more: const { &[filtered("encoder", &["ops::", "packing::"]), HEADS] },
                variables: const { &[BLOCKS] },
            },
            Self::SwiftshaderWgsl => Plan {
                devices: "wgpu:cpu",
                driver: Some((SWIFTSHADER, Compiler::Wgsl)),
                runs: &[NETWORK],
                more: const { &[filtered("encoder", &["ops::"]), HEADS] },
                variables: const { &[BLOCKS] },
            },
        }
    }

    /// The calls of `cargo test` that the leg consists of; with `full` those as well that do not fit into CI's time.
    pub(crate) fn runs(self, full: bool) -> impl Iterator<Item = Run> {
        let Plan { runs, more, .. } = self.plan();
        let more = if full { more } else { &[] };
        runs.iter().chain(more).copied()
    }

    /// Devices, driver and whatever else the tests learn from the environment; without the processors that are `tested`.
    ///
    /// # Errors
    /// If the driver isn't what the leg is about.
    pub(crate) fn variables(
        self,
        tools: Option<&Tools>,
        full: bool,
        tested: &[&str],
    ) -> Result<Vec<(&'static str, OsString)>> {
        let plan = self.plan();
        let mut variables: Vec<(&str, OsString)> = plan
            .variables
            .iter()
            .filter(|variable| !full || **variable != BLOCKS)
            .map(|&(name, value)| (name, value.into()))
            .collect();
        let mut devices: Vec<&str> = plan.devices.split(',').collect();
        if plan.driver.is_none() {
            devices.retain(|label| !tested.contains(label));
        }
        if let Some((driver, compiler)) = plan.driver {
            let tools = tools.context("the leg needs the root with drivers")?;
            let of_driver = tools.variables(driver, compiler);
            tools.check(driver, compiler, &of_driver)?;
            variables.extend(of_driver);
            variables.push((RUNNER, tools.enter.clone().into()));
        }
        variables.push(("BERT_TEST_DEVICES", devices.join(",").into()));
        Ok(variables)
    }

    /// Runs the tests.
    ///
    /// # Errors
    /// If one fails, or the validation layer was not there or found an error.
    pub(crate) fn test(self, run: Run, cargo: &mut Command) -> Result<()> {
        run.apply(cargo);
        match self {
            Self::Processors => shell::run(cargo),
            Self::MesaValidated => validation::check(&shell::run_and_keep(cargo)?),
            _ => shell::run_and_keep(cargo).map(drop),
        }
    }
}

/// cargo starts test programs with what this names.
pub(crate) const RUNNER: &str = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER";

/// Tools that a driver's leg needs besides cargo.
pub(crate) struct Tools {
    /// Program that enters the root.
    pub(crate) enter: PathBuf,
    /// Directory of the layer that hides features.
    layer: PathBuf,
}

impl Tools {
    /// Builds the layer.
    ///
    /// # Errors
    /// If that fails.
    pub(crate) fn new(enter: PathBuf) -> Result<Self> {
        if enter
            .as_os_str()
            .to_string_lossy()
            .contains(char::is_whitespace)
        {
            bail!(
                "`{}` has a space in it, which cargo takes for the end of a runner's name; name another place with --roots",
                enter.display()
            );
        }
        let mut cargo = shell::cargo();
        shell::run(cargo.args(["build", "--release", "--package", "vulkan-test-layer"]))?;
        let target = shell::target();
        let layer = target.join("vulkan-layer");
        fs::create_dir_all(&layer)?;
        let library = "libvulkan_test_layer.so";
        let manifest = "VkLayer_bert_test.json";
        let source = shell::root().join("xtask").join("vulkan-layer");
        for (from, name) in [(target.join("release"), library), (source, manifest)] {
            fs::copy(from.join(name), layer.join(name))
                .with_context(|| format!("could not copy {name} of the test layer"))?;
        }
        Ok(Self { enter, layer })
    }

    fn variables(&self, driver: usize, compiler: Compiler) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            ("VK_DRIVER_FILES", OsString::from(DRIVERS[driver].1)),
            // For tests that have the layer make the driver fail.
            ("BERT_VULKAN_LAYER", self.layer.clone().into()),
            // For one that is refused with SPIR-V.
            ("BERT_SWIFTSHADER_ICD", DRIVERS[SWIFTSHADER].1.into()),
            // Kernels are chosen once for each driver and compiler, and found again by later programs and runs.
            ("BERT_CACHE_DIR", {
                let cache = shell::target().join("leg-cache");
                cache.join(compiler.hidden().unwrap_or("all")).into()
            }),
        ];
        if let Some(hidden) = compiler.hidden() {
            variables.extend([
                ("VK_ADD_LAYER_PATH", self.layer.clone().into()),
                ("VK_INSTANCE_LAYERS", "VK_LAYER_BERT_test".into()),
                ("BERT_LAYER_HIDE", hidden.into()),
            ]);
        }
        variables
    }

    /// Asks the driver, as a program under the same variables sees it, for its name and for the feature that CubeCL chooses
    /// the compiler by.
    fn check(
        &self,
        driver: usize,
        compiler: Compiler,
        variables: &[(&'static str, OsString)],
    ) -> Result<()> {
        let name = DRIVERS[driver].0;
        let mut command = Command::new(&self.enter);
        command.arg("vulkaninfo").envs(variables.iter().cloned());
        let report = shell::output(&mut command).with_context(|| {
            format!("vulkaninfo fails on {name} in `{}`", self.root().display())
        })?;
        agrees(&report, name, compiler).with_context(|| {
            format!(
                "the driver in `{}` is not what the leg is about; remove that directory to have it made anew",
                self.root().display()
            )
        })
    }

    fn root(&self) -> &Path {
        self.enter.parent().unwrap_or(&self.enter)
    }
}

/// True if vulkaninfo tells of one adapter, with that name, that CubeCL would take for that compiler.
fn agrees(report: &str, name: &str, compiler: Compiler) -> Result<()> {
    let values = |key: &str| -> Vec<&str> {
        let lines = report.lines().filter_map(|line| line.split_once('='));
        lines
            .filter(|(left, _)| left.trim() == key)
            .map(|(_, right)| right.trim())
            .collect()
    };
    match values("deviceName")[..] {
        [adapter] if adapter.contains(name) => {}
        ref others => bail!("expected the adapter {name}, found {others:?}"),
    }
    let expected = match compiler {
        Compiler::SpirV | Compiler::SpirVWithoutMatrices => "true",
        Compiler::Wgsl => "false",
    };
    let models = values("vulkanMemoryModel");
    if models.is_empty() || models.iter().any(|value| *value != expected) {
        bail!("{name}: expected vulkanMemoryModel = {expected}, found {models:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_is_known_by_name_and_feature() {
        let report = "GPU0:\n\tdeviceName        = llvmpipe (LLVM 22.1.8, 256 bits)\n\tvulkanMemoryModel = true\n\t\
                      vulkanMemoryModelDeviceScope = false\n";
        agrees(report, "llvmpipe", Compiler::SpirV).unwrap();
        assert!(agrees(report, "llvmpipe", Compiler::Wgsl).is_err());
        assert!(agrees(report, "SwiftShader", Compiler::SpirV).is_err());
        assert!(agrees("", "llvmpipe", Compiler::Wgsl).is_err());
        let two = format!("{report}{report}");
        assert!(agrees(&two, "llvmpipe", Compiler::SpirV).is_err());
    }
}
