#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mfa_fuzz_targets::stock(bytes));
