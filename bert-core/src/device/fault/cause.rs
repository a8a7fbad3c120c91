//! Messages of drivers and runtimes: whether a device speaks, which kind of failure it is, and the line that says so.

use std::any::Any;

/// Classes of failure that call for different remedies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// An allocation that the device refused.
    OutOfMemory,
    /// A device that was reset, unplugged or disconnected.
    Lost,
    /// A worker that ended, or that the network does not reach any more.
    WorkerLost,
    /// Anything else: a refused kernel, an invalid call, a panic.
    Other,
}

impl FaultKind {
    /// The remedy, as a part of an error's message.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::OutOfMemory => {
                "use smaller batches (in training, --batch-size with --accumulate for the same update, or \
                 --gradient-checkpointing), or another device (--device)"
            }
            Self::Lost => {
                "start again, and if it comes back use another driver or another device (--device)"
            }
            Self::WorkerLost => {
                "look what `bert worker` says on its machine, start it again there if it has ended, and then this command"
            }
            Self::Other => {
                "`bert doctor` examines the device; use another one (--device) if it fails there, and report it if it does \
                 not"
            }
        }
    }
}

/// Longest cause that an error prints, in characters.
const LONGEST: usize = 400;

/// Crates whose panics are those of a device, as they stand in the path of a panic's source.
const CRATES: [&str; 8] = [
    "cubecl-",
    "cubek-",
    "burn-cubecl",
    "burn-fusion",
    "burn-wgpu",
    "burn-remote",
    "wgpu-",
    "naga-",
];

/// Beginnings of messages with which Burn and LibTorch's binding fail where a device is at fault.
const BEGINNINGS: [&str; 4] = [
    "Error while reading data",
    "Failed to read tensor data",
    "wgpu error",
    "CallError(",
];

/// The message of a panic; empty if it is no text.
pub(super) fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or_default()
}

/// True if a panic of this message, raised in the source `file`, stems from a device.
pub(super) fn is_of_a_device(message: &str, file: Option<&str>) -> bool {
    let crates = |file: &str| {
        let mut parts = file.split(['/', '\\']);
        parts.any(|part| CRATES.iter().any(|name| part.starts_with(name)))
    };
    BEGINNINGS.iter().any(|start| message.starts_with(start))
        || file.is_some_and(crates)
        || (message.contains("Torch(") && kind(message) == FaultKind::OutOfMemory)
        || message.contains("CUDA error")
}

/// The class of a failure, by the words in its message.
pub(super) fn kind(message: &str) -> FaultKind {
    let message = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&[
        "out of memory",
        "outofmemory",
        "out_of_memory",
        "out of device memory",
        "out_of_device_memory",
        "out_of_host_memory",
        "can't allocate",
        "buffertoobig",
        "too big",
        "maximum buffer size",
        "max buffer size",
    ]) || (message.contains("buffer") && message.contains("greater than the maximum"))
    {
        FaultKind::OutOfMemory
    } else if has(&[
        "device lost",
        "device was lost",
        "device is lost",
        "poisoned",
        "disconnected",
        "connection",
    ]) {
        FaultKind::Lost
    } else {
        FaultKind::Other
    }
}

/// The message on one line, without the wrapping of Rust's `Debug` and without backtraces.
pub(super) fn cause(message: &str) -> String {
    let message = inner(message);
    let mut parts: Vec<&str> = Vec::new();
    for line in message.lines().map(str::trim) {
        let is_frame = line
            .split_once(": ")
            .is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        if is_frame || line.to_lowercase().contains("backtrace") {
            break;
        }
        let line = line.trim_end_matches([':', '.', ',']);
        if !line.is_empty() && line != "Caused by" && !parts.contains(&line) {
            parts.push(line);
        }
    }
    let line = parts.join(": ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The text in `… reason: "text" …` or `CallError(task panicked on device runner thread: text)`, as errors print what they
/// wrap; otherwise the message itself.
fn inner(message: &str) -> String {
    if let Some((_, rest)) = message.split_once("reason: \"") {
        let quoted = rest.rsplit_once('"').map_or(rest, |(quoted, _)| quoted);
        let plain = quoted
            .replace("\\n", "\n")
            .replace("\\\"", "\"")
            .replace("\\'", "'");
        return inner(&plain);
    }
    // Burn's fusion on an operation of its queue.
    if let Some(rest) = message.strip_prefix("an operation failed: ") {
        let end = rest.find("; the tensors it was going to write");
        return inner(end.map_or(rest, |end| &rest[..end]));
    }
    let call = "CallError(task panicked on device runner thread: ";
    match message
        .split_once(call)
        .and_then(|(_, rest)| rest.trim_end().strip_suffix(')'))
    {
        Some(rest) => inner(rest),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_one_line() {
        let validation = "wgpu error: Validation Error\n\nCaused by:\n  In Device::create_buffer\n    Buffer size 17179869184 is greater than the maximum buffer size (268435456)\n";
        assert_eq!(
            cause(validation),
            "wgpu error: Validation Error: In Device::create_buffer: Buffer size 17179869184 is greater than the maximum buffer size (268435456)"
        );
        assert_eq!(kind(validation), FaultKind::OutOfMemory);

        let read = "Error while reading data: use `try_into_data` instead to catch the error at runtime: WithContext { reason: \"The device is poisoned\\nCaused by:\\n  Unknown: \\\"gone\\\"\\nBacktrace:\\n   0: std::x\" }";
        assert_eq!(cause(read), "The device is poisoned: Unknown: \"gone\"");
        assert_eq!(kind(read), FaultKind::Lost);

        let swallowed = "CallError(task panicked on device runner thread: index out of bounds)";
        assert_eq!(cause(swallowed), "index out of bounds");
        assert_eq!(kind(swallowed), FaultKind::Other);

        let queued = "an operation failed: Out of Memory; the tensors it was going to write hold that error, and reading one of them reports it";
        assert_eq!(cause(queued), "Out of Memory");

        assert_eq!(cause(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn devices_are_told_from_us() {
        let registry = |name: &str| format!("/home/u/.cargo/registry/src/index/{name}/src/lib.rs");
        assert!(is_of_a_device(
            "called `Option::unwrap()`",
            Some(&registry("cubecl-wgpu-0.11.3"))
        ));
        assert!(is_of_a_device(
            "any",
            Some("C:\\cargo\\registry\\src\\wgpu-core-30.0.1\\src\\a.rs")
        ));
        assert!(!is_of_a_device(
            "any",
            Some(&registry("burn-tensor-0.22.1"))
        ));
        assert!(!is_of_a_device("any", Some("bert-core/src/device/wgpu.rs")));
        assert!(is_of_a_device("wgpu error: Out of Memory", None));
        assert!(is_of_a_device(
            "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to allocate 2 GiB\")",
            None
        ));
        assert!(!is_of_a_device(
            "called `Result::unwrap()` on an `Err` value: Torch(\"mat1 and mat2 shapes cannot be multiplied\")",
            None
        ));
    }
}
