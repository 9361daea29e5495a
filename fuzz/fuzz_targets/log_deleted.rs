#![no_main]

#[path = "../house_targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = targets::log_deleted(data);
});
