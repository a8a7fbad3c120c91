#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bert_fuzz::vocabulary(data);
});
