#![no_main]
#![allow(dead_code)]

#[path = "../../wire/codec.rs"]
mod codec;
#[path = "../targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::frames(data));
