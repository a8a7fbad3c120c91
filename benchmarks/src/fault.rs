//! Faults on demand, so that tests can watch a device crash or hang.

use std::time::Duration;

/// `ACTION:BATCH`, several separated by commas: at this batch size the measuring process does not do what it should.
const VARIABLE: &str = "BERT_BENCH_FAULT";

/// Crashes or hangs if the environment asks for it at this batch size.
pub(crate) fn inject(batch: usize) {
    let Ok(faults) = std::env::var(VARIABLE) else {
        return;
    };
    for fault in faults.split(',') {
        match fault.split_once(':') {
            Some(("abort", at)) if at == batch.to_string() => std::process::abort(),
            Some(("panic", at)) if at == batch.to_string() => panic!("a fault was asked for"),
            Some(("hang", at)) if at == batch.to_string() => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            _ => (),
        }
    }
}
