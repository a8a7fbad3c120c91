//! Description of the machine that is measured and of the build that measures.

use bert_core::device;
use serde::{Deserialize, Serialize};
use sysinfo::{
    CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, RefreshKind, System,
};

/// The Burn release that the workspace pins.
pub const BURN: &str = "0.22.1";

/// This machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Name of the processor.
    pub processor: Option<String>,
    /// Threads that the operating system grants.
    pub threads: usize,
    /// Physical memory in bytes.
    pub memory_bytes: u64,
    /// Available physical memory in bytes.
    pub memory_available_bytes: u64,
    /// Name and release of the operating system.
    pub system: Option<String>,
    /// Share of the processors' time that others take just now, from 0 to 1.
    #[serde(default)]
    pub busy: f64,
}

impl Machine {
    /// Describes this machine in its present state; sampling the load takes a fifth of a second.
    pub fn here() -> Self {
        let what = RefreshKind::nothing()
            .with_memory(MemoryRefreshKind::everything())
            .with_cpu(CpuRefreshKind::nothing());
        let mut system = System::new_with_specifics(what);
        system.refresh_cpu_usage();
        std::thread::sleep(MINIMUM_CPU_UPDATE_INTERVAL);
        system.refresh_cpu_usage();
        Self {
            processor: system.cpus().first().map(|cpu| cpu.brand().to_owned()),
            threads: device::threads(),
            memory_bytes: system.total_memory(),
            memory_available_bytes: system.available_memory(),
            system: System::long_os_version(),
            busy: f64::from(system.global_cpu_usage()) / 100.0,
        }
    }

    /// True if other processes keep the processor too busy for reliable times.
    pub fn is_busy(&self) -> bool {
        self.busy > 0.2
    }

    /// "Xeon, 2 threads, 23.4 GiB of memory, Debian 12".
    pub fn describe(&self) -> String {
        let mut parts = vec![
            self.processor
                .clone()
                .unwrap_or("unknown processor".to_owned()),
            threads(self.threads),
            format!(
                "{:.1} GiB of memory",
                self.memory_bytes as f64 / f64::from(1 << 30)
            ),
        ];
        parts.extend(self.system.clone());
        parts.join(", ")
    }
}

/// This program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Version of `bert`.
    pub bert: String,
    /// Version of Burn.
    pub burn: String,
    /// Commit that was built, where git knew it.
    pub commit: Option<String>,
    /// Backend features that are compiled in.
    pub features: Vec<String>,
}

impl Build {
    /// Description of this binary.
    pub fn this() -> Self {
        Self {
            bert: env!("CARGO_PKG_VERSION").to_owned(),
            burn: BURN.to_owned(),
            commit: option_env!("BERT_COMMIT").map(str::to_owned),
            features: device::compiled_backends()
                .iter()
                .map(|&f| f.to_owned())
                .collect(),
        }
    }

    /// "bert 0.1.0 at 0123456789ab, Burn 0.22.1, features flex, tch".
    pub fn describe(&self) -> String {
        let commit = self.commit.as_ref().map(|commit| format!(" at {commit}"));
        format!(
            "bert {}{}, Burn {}, features {}",
            self.bert,
            commit.unwrap_or_default(),
            self.burn,
            self.features.join(", ")
        )
    }
}

/// "1 thread", "2 threads".
pub(crate) fn threads(count: usize) -> String {
    format!("{count} thread{}", if count == 1 { "" } else { "s" })
}
