//! Builds every change that cargo-mutants would make into one copy of the sources, each behind a switch.
//!
//! ```text
//! cargo mutants --list --json ──> list.json ──> mfa-mutation TREE list.json ──> the numbers of what was built in
//!
//!     a < b      becomes    (if mfa_core::switches::on(7) { a <= b } else { a < b })
//! ```
//!
//! The number of a change is its place in the list. `on` compares it with the environment's `MFA_MUTANT`, or else with what stands in the
//! file `TREE/chosen`, so one build tries them all: cargo-mutants builds each anew, which takes hours. What can't be behind a switch (a
//! guard with `let`, a constant, a field that is left out) is not built in and left to cargo-mutants. `scripts/mutants.py` does all of it.

mod switch;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::switch::Switches;

/// One line of `cargo mutants --list --json`, as far as it matters here.
#[derive(Deserialize)]
struct Change {
    file: PathBuf,
    package: String,
    genre: Genre,
    replacement: String,
    span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Genre {
    BinaryOperator,
    FnValue,
    MatchArm,
    MatchArmGuard,
    StructField,
    UnaryOperator,
}

#[derive(Deserialize)]
struct Span {
    start: Place,
}

/// A place in a file; both count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
struct Place {
    line: usize,
    column: usize,
}

/// What is added to mfa-core. A program that a test starts may have none of its environment.
const SWITCHES: &str = r#"
#[doc(hidden)]
pub mod switches {
    pub fn on(number: u32) -> bool {
        static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
        let chosen = || {
            let text = std::env::var("MFA_MUTANT").or_else(|_| std::fs::read_to_string("CHOSEN_FILE"));
            text.map_or(u32::MAX, |text| text.parse().expect("a number"))
        };
        *CHOSEN.get_or_init(chosen) == number
    }
}
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(tree), Some(list)) = (words.next(), words.next()) else {
        return Err("usage: mfa-mutation TREE LIST.json [NUMBER TO LEAVE OUT]..".into());
    };
    let left_out: BTreeSet<usize> = words.map(|word| word.parse()).collect::<Result<_, _>>()?;
    let tree = Path::new(&tree);
    if tree.join(".git").exists() {
        return Err(
            "this is a checkout, and its sources would be rewritten; hint: give a copy of them".into()
        );
    }
    let changes: Vec<Change> = serde_json::from_slice(&fs::read(list)?)?;
    let files: BTreeSet<&Path> = changes.iter().map(|change| change.file.as_path()).collect();
    let mut built = Vec::new();
    for file in files {
        let here = changes.iter().enumerate();
        let here = here.filter(|(number, change)| change.file == file && !left_out.contains(number));
        let path = tree.join(file);
        let mut parsed = syn::parse_file(&fs::read_to_string(&path)?)?;
        built.extend(Switches::new(here.collect()).build_into(&mut parsed));
        fs::write(path, prettyplease::unparse(&parsed))?;
    }
    let root = tree.join("core/src/lib.rs");
    let chosen = fs::canonicalize(tree)?.join("chosen").display().to_string();
    fs::write(&root, fs::read_to_string(&root)? + &SWITCHES.replace("CHOSEN_FILE", &chosen))?;
    built.sort_unstable();
    serde_json::to_writer(std::io::stdout(), &built)?;
    Ok(())
}
