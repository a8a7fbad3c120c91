//! Memory of this process, now and at its peak.

/// The largest share of physical memory that this process had at any time (Linux: `VmHWM`), in bytes; `None` where the
/// operating system does not say.
pub fn peak_host_bytes() -> Option<u64> {
    own("VmHWM:")
}

/// Physical memory that this process has now (Linux: `VmRSS`), in bytes; `None` where the operating system does not say.
pub fn host_bytes() -> Option<u64> {
    own("VmRSS:")
}

fn own(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    field(&status, name)
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_bytes() {
        let status = "VmPeak:\t  900 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 77 kB\n";
        assert_eq!(field(status, "VmHWM:"), Some(1_263_616));
        assert_eq!(field(status, "VmRSS:"), Some(78_848));
        assert_eq!(field("VmRSS: 1 kB\n", "VmHWM:"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_is_known_here() {
        let now = host_bytes().unwrap();
        assert!(now > 100_000 && peak_host_bytes().unwrap() >= now);
    }
}
