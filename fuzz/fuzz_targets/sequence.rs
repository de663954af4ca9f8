//! Sequence files of any content: read in bounded time and memory, without a panic. `tests/sequence_any.rs` does the same for some
//! seconds with every test run.
//!
//!     cargo +nightly fuzz run sequence -- -seed_inputs=$(ls ../sequences/*.seq | paste -sd,)

#![no_main]

use libfuzzer_sys::fuzz_target;
use xenrt::sequence::{Library, Mode};
use xenrt::vars::Variables;

fuzz_target!(|text: &str| {
    for mode in [Mode::Strict, Mode::Lenient] {
        let loaded = Library::default().load_text("fuzz.seq", text, Variables::default(), mode);
        assert!(loaded.diagnostics.len() < 1000);
    }
});
