#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hushfs::fuzzing::broker(bytes));
