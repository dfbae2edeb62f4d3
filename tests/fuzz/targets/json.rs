//! Configuration files in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| haloy::fuzz_config("haloy.json", text));
