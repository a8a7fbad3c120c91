//! How much memory this process has needed.

/// The largest share of physical memory that this process had at any time (Linux: `VmHWM`), in bytes; `None` where the
/// operating system does not say.
pub fn peak_host_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    high_water_mark(&status)
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read() {
        let status = "VmPeak:\t  900 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 77 kB\n";
        assert_eq!(high_water_mark(status), Some(1_263_616));
        assert_eq!(high_water_mark("VmRSS: 1 kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn it_is_known_here() {
        assert!(peak_host_bytes().unwrap() > 100_000);
    }
}
