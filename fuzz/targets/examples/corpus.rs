//! Writes what the corpora have of bytes that nobody would type: `cargo run -p mfa-fuzz-targets --example corpus`.

#![expect(clippy::expect_used, reason = "a tool for people at a terminal: what goes wrong ends it")]

use std::fs;
use std::path::Path;

use mfa_fuzz_targets::{state_examples, wire_examples};

fn main() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for (target, examples) in [("state", state_examples()), ("wire", wire_examples())] {
        let folder = corpora.join(target);
        fs::create_dir_all(&folder).expect("our own repository");
        for (name, bytes) in examples {
            fs::write(folder.join(name), bytes).expect("a small file");
        }
    }
}
