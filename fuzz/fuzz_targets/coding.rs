#![no_main]
#![allow(missing_docs, reason = "the target is documented where it is written")]

libfuzzer_sys::fuzz_target!(|data: &[u8]| lsmkit_fuzz::coding(data));
