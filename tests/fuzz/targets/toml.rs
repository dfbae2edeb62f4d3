//! Configuration files in TOML.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| haloy::fuzz_config("haloy.toml", text));
