//! CubeCL's choice of kernels by timing them: where the choices are kept, bounds for it on devices where it costs more than it
//! saves, and a sign of life while it lasts.
//!
//! It happens once for each device, operation and order of sizes; later processes find the choices again.

use std::fmt::Arguments;
#[cfg(feature = "cubecl")]
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
#[cfg(feature = "cubecl")]
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[cfg(feature = "cubecl")]
use cubecl::config::autotune::AutotuneLevel;
#[cfg(feature = "cubecl")]
use cubecl::config::cache::CacheConfig;
#[cfg(feature = "cubecl")]
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

#[cfg(feature = "wgpu")]
use crate::device::AdapterInfo;
#[cfg(feature = "cubecl")]
use crate::device::AdapterKind;
#[cfg(feature = "cubecl")]
use crate::files::cache_dir;

/// Name of the file, without its ending, that the choices of a machine's devices are kept in.
///
/// CubeCL tells devices apart by their index alone, so that each set of adapters and drivers gets a file of its own.
#[cfg(feature = "cubecl")]
pub(super) struct Hardware(String);

#[cfg(feature = "cubecl")]
impl Hardware {
    /// Graphics adapters and their drivers.
    #[cfg(feature = "wgpu")]
    pub(super) fn graphics(found: &[AdapterInfo]) -> Self {
        let drivers = found
            .iter()
            .map(|info| (&info.name, &info.driver, &info.api));
        Self::named("graphics", drivers.collect::<Vec<_>>())
    }

    /// Cards that a runtime counts: those that an environment variable lets it see, with the driver that a file names.
    pub(super) fn cards(runtime: &str, visible: &str, version: &str) -> Self {
        let parts = (std::env::var_os(visible), std::fs::read(version).ok());
        Self::named(runtime, parts)
    }

    pub(super) fn named(runtime: &str, parts: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (env!("CARGO_PKG_VERSION"), parts).hash(&mut hasher);
        Self(format!("{runtime}-{:016x}", hasher.finish()))
    }

    /// Removes the choices that are kept: of kernels that computed wrong among others.
    pub(super) fn forget(&self) {
        if let Some(root) = root() {
            self.forget_in(&root);
        }
    }

    fn forget_in(&self, root: &Path) {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        for entry in entries {
            // The database, and the journals beside it.
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.split(['.', '-']).take(2).eq(self.0.split('-')) {
                // What stays is as old as what nobody asked to forget.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// Directory of the choices, below this program's cache directory.
#[cfg(feature = "cubecl")]
fn root() -> Option<PathBuf> {
    Some(cache_dir()?.join("kernels"))
}

/// Prepares CubeCL's tuner for a device of this `kind`; to be called before the device starts.
///
/// A software rasteriser compiles each candidate for seconds, those for matrix units for longer, and on a processor the units of
/// a cube that are more than its cores wait for each other in turns of the scheduler: both gain little by the choice, and get the
/// lowest level of effort, with one sample of each. The first call of a process counts, and a level or an environment that a
/// `cubecl.toml` or variables of CubeCL's ask for stays.
#[cfg(feature = "cubecl")]
pub(super) fn prepare(kind: AdapterKind, hardware: &Hardware) {
    if kind == AdapterKind::SoftwareRasteriser {
        IN_SOFTWARE.store(true, Ordering::Relaxed);
    }
    let config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    let root = root();
    if let Some(root) = &root {
        // CubeCL goes without the file where it can't be written.
        let _ = std::fs::create_dir_all(root);
    }
    CubeClRuntimeConfig::try_set(fitted(config, kind, hardware, root));
}

#[cfg(feature = "cubecl")]
fn fitted(
    mut config: CubeClRuntimeConfig,
    kind: AdapterKind,
    hardware: &Hardware,
    root: Option<PathBuf>,
) -> CubeClRuntimeConfig {
    let environment = &mut config.environment;
    let is_chosen = environment.name != cubecl::environment::DEFAULT
        || !matches!(environment.path, CacheConfig::Target);
    match root {
        _ if is_chosen => {}
        Some(root) => {
            environment.name.clone_from(&hardware.0);
            environment.path = CacheConfig::Directory(root);
        }
        // Without a home directory CubeCL would write into the working directory.
        None => config.autotune.disable_cache = true,
    }
    let tuning = &mut config.autotune;
    // Ends of tunings go to `log`, as beginnings do by themselves.
    tuning.logger.log.get_or_insert_default();
    let on_processor = matches!(kind, AdapterKind::SoftwareRasteriser | AdapterKind::Cpu);
    if on_processor && matches!(tuning.level, AutotuneLevel::Balanced) {
        tuning.level = AutotuneLevel::Minimal;
        tuning.bench.min_samples = 1;
        tuning.bench.max_samples = 1;
        tuning.bench.short_circuit_samples = 1;
    }
    config
}

/// Time of silence before the first line.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time between two lines.
const PAUSE: Duration = Duration::from_secs(30);
const BEAT: Duration = Duration::from_millis(500);

/// Names under which CubeCL's tuner logs.
const BEGINS: &str = "cubecl_runtime::tune::tuner";
const ENDS: &str = "cubecl::autotune";
const GIVES_UP: &str = "cubecl_runtime::tune::schedule";
const TARGETS: [&str; 3] = [BEGINS, ENDS, GIVES_UP];

/// True while something else has the terminal.
static SILENT: AtomicBool = AtomicBool::new(false);
/// True once a software rasteriser has been prepared for.
static IN_SOFTWARE: AtomicBool = AtomicBool::new(false);

/// Said of f16 on software rasterisers with matrix units: Mesa 26 compiles a candidate for them in 20 s of processor time,
/// two for each of some 25 products of a training step, and the result is slower than a plain kernel.
const SLOW: &str =
    "; f16 takes a quarter of an hour on a software rasteriser, f32 (--dtype f32) a minute";

/// Tunings of this process.
struct Course {
    /// Tunings begun and not ended: fused operations tune what they fall back to within their own.
    open: usize,
    begun: usize,
    /// An operand of one of them is f16.
    half: bool,
    /// Time of those that ended, and the beginning of the outermost open one.
    spent: Duration,
    since: Option<Instant>,
    next_line: Duration,
    watched: bool,
}

static COURSE: Mutex<Course> = Mutex::new(Course::new());

impl Course {
    const fn new() -> Self {
        Self {
            open: 0,
            begun: 0,
            half: false,
            spent: Duration::ZERO,
            since: None,
            next_line: PATIENCE,
            watched: false,
        }
    }

    fn begin(&mut self, now: Instant) {
        self.begun += 1;
        self.open += 1;
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: Instant) {
        self.open = self.open.saturating_sub(1);
        if self.open == 0
            && let Some(since) = self.since.take()
        {
            self.spent += now.duration_since(since);
        }
    }

    /// The line that is due at `now`, while something is being tuned.
    fn line(&mut self, now: Instant) -> Option<String> {
        let spent = self.spent + now.duration_since(self.since?);
        if spent < self.next_line {
            return None;
        }
        self.next_line = spent + spent.clamp(PATIENCE, PAUSE);
        let (seconds, begun) = (spent.as_secs(), self.begun);
        let hint = match self.half && IN_SOFTWARE.load(Ordering::Relaxed) {
            true => SLOW,
            false => "",
        };
        Some(format!(
            "tuning kernels for this device: {seconds} s, {begun} so far{hint}"
        ))
    }
}

/// Records a message that CubeCL logs, at the level of information: those of its tuner keep the [`Course`].
///
/// From the fifth second of tuning on, a thread reports it on standard error.
pub(super) fn record_message(target: &str, message: Arguments<'_>) {
    let Some(begins) = event(target, message) else {
        return;
    };
    let now = Instant::now();
    let mut course = COURSE.lock().unwrap_or_else(PoisonError::into_inner);
    match begins {
        true => course.begin(now),
        false => course.end(now),
    }
    course.half |= begins && message.to_string().contains("Float(F16)");
    if begins && !std::mem::replace(&mut course.watched, true) {
        // Without the thread there are no lines, and nothing else is lost.
        let spawned = std::thread::Builder::new()
            .name("tuning".to_owned())
            .spawn(watch);
        course.watched = spawned.is_ok();
    }
}

/// Keeps lines back, or lets them through again.
#[cfg(feature = "dashboard")]
pub(crate) fn set_silent(silent: bool) {
    SILENT.store(silent, Ordering::Relaxed);
}

/// True for a message that [`record_message`] wants.
pub(super) fn is_of_the_tuner(target: &str) -> bool {
    TARGETS.contains(&target)
}

/// True for the beginning of a tuning, false for its end.
fn event(target: &str, message: Arguments<'_>) -> Option<bool> {
    let starts = |start: &str| message.to_string().starts_with(start);
    match target {
        BEGINS if starts("Tuning ") => Some(true),
        ENDS if starts("Fastest result ") => Some(false),
        // A choice without a measurement.
        GIVES_UP if starts("Autotune measured no candidate") => Some(false),
        _ => None,
    }
}

fn watch() {
    loop {
        std::thread::sleep(BEAT);
        let mut course = COURSE.lock().unwrap_or_else(PoisonError::into_inner);
        let line = course.line(Instant::now());
        if let Some(line) = line.filter(|_| !SILENT.load(Ordering::Relaxed)) {
            // Nobody is left to hear of it if that fails.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn lines_come_after_five_seconds_of_tuning_and_then_more_rarely() {
        let start = Instant::now();
        let mut course = Course::new();
        // Four seconds of tuning in ten, then one that does not end.
        course.begin(start);
        course.end(start + seconds(4));
        assert_eq!(course.line(start + seconds(9)), None);
        course.begin(start + seconds(10));
        let second = |at: u64| start + seconds(at);
        let seen: Vec<_> = (10..200)
            .filter(|&at| course.line(second(at)).is_some())
            .collect();
        // 5, 10, 20, 40 and from then on every 30 seconds of tuning.
        assert_eq!(seen, [11, 16, 26, 46, 76, 106, 136, 166, 196]);
    }

    #[test]
    fn a_tuning_within_another_does_not_end_it() {
        let start = Instant::now();
        let mut course = Course::new();
        course.begin(start);
        course.begin(start + seconds(1));
        course.end(start + seconds(2));
        let line = course.line(start + seconds(37)).unwrap();
        assert!(line.contains("37 s, 2 so far"), "{line}");
        course.end(start + seconds(38));
        assert_eq!(course.line(start + seconds(100)), None, "nothing is tuned");
        // An end too many.
        course.end(start + seconds(101));
        course.begin(start + seconds(102));
        assert!(course.line(start + seconds(152)).is_some());
    }

    #[cfg(feature = "wgpu")]
    #[test]
    fn choices_are_kept_for_each_set_of_adapters_unless_told_otherwise() {
        let adapter = |driver: &str| AdapterInfo {
            spec: "wgpu:cpu".parse().unwrap(),
            name: "an adapter".to_owned(),
            driver: driver.to_owned(),
            api: "Vulkan".to_owned(),
            kind: AdapterKind::SoftwareRasteriser,
        };
        let [old, new] = ["1.0", "1.1"].map(|driver| Hardware::graphics(&[adapter(driver)]));
        assert_ne!(old.0, new.0);
        let kind = AdapterKind::DiscreteGpu;
        let root = || Some(PathBuf::from("/cache"));
        let config = fitted(CubeClRuntimeConfig::default(), kind, &old, root());
        assert_eq!(config.environment.name, old.0);
        assert_eq!(config.environment.path.root(), Path::new("/cache"));
        assert!(!config.autotune.disable_cache);

        let mut chosen = CubeClRuntimeConfig::default();
        chosen.environment.name = "mine".to_owned();
        let config = fitted(chosen, kind, &old, root());
        assert_eq!(config.environment.name, "mine");
        assert!(
            fitted(CubeClRuntimeConfig::default(), kind, &old, None)
                .autotune
                .disable_cache
        );
    }

    #[cfg(feature = "cubecl")]
    #[test]
    fn only_the_choices_of_the_hardware_at_hand_are_forgotten() {
        let root = tempfile::tempdir().unwrap();
        let hardware = Hardware("graphics-00ff".to_owned());
        let kept = ["graphics-00fe.db", "cuda-00ff.db", "graphics-00ff0.db"];
        for name in kept
            .iter()
            .chain(&["graphics-00ff.db", "graphics-00ff.db-wal"])
        {
            std::fs::write(root.path().join(name), "x").unwrap();
        }
        hardware.forget_in(root.path());
        let left = std::fs::read_dir(root.path()).unwrap();
        let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        let mut kept = kept;
        kept.sort_unstable();
        assert_eq!(left, kept);
    }

    #[cfg(feature = "cubecl")]
    #[test]
    fn software_is_tuned_least_unless_told_otherwise() {
        let fitted = |level: AutotuneLevel, kind| {
            let mut config = CubeClRuntimeConfig::default();
            config.autotune.level = level;
            let hardware = Hardware("any".to_owned());
            let tuning = fitted(config, kind, &hardware, None).autotune;
            assert!(tuning.logger.log.is_some());
            (tuning.level, tuning.bench.max_samples)
        };
        for kind in [AdapterKind::SoftwareRasteriser, AdapterKind::Cpu] {
            let (level, samples) = fitted(AutotuneLevel::Balanced, kind);
            assert!(matches!(level, AutotuneLevel::Minimal) && samples == 1);
        }
        let (level, samples) = fitted(AutotuneLevel::Full, AdapterKind::SoftwareRasteriser);
        assert!(matches!(level, AutotuneLevel::Full) && samples > 1);
        let (level, samples) = fitted(AutotuneLevel::Balanced, AdapterKind::DiscreteGpu);
        assert!(matches!(level, AutotuneLevel::Balanced) && samples > 1);
    }

    #[test]
    fn messages_of_the_tuner_are_told_from_others() {
        let tuner = "cubecl_runtime::tune::tuner";
        assert_eq!(
            event(tuner, format_args!("Tuning Matmul - {}", 3)),
            Some(true)
        );
        assert_eq!(
            event("cubecl::autotune", format_args!("Fastest result a-b")),
            Some(false)
        );
        assert_eq!(
            event("cubecl::profiling", format_args!("Fastest result")),
            None
        );
        assert_eq!(event("wgpu_core", format_args!("Tuning in")), None);
    }
}
