//! Every file of fuzz/corpus goes through its target, as it is and damaged: what a fuzzer has found stays found.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic of a test is its failure report, and what it has printed is shown with it"
)]

use std::fs;
use std::path::{Path, PathBuf};

use mfa_fuzz_targets::TARGETS;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// The most bytes that all corpora have together.
const MOST_BYTES: u64 = 1024 * 1024;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

/// The files of a corpus, in the order of their names.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = corpora().join(target);
    let mut files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.clone(), fs::read(path).expect("a file of the corpus")))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus of {target} is empty");
    files
}

fn target(name: &str) -> fn(&[u8]) {
    TARGETS.iter().find(|(target, _)| *target == name).expect("a target of that name").1
}

fn replay(name: &str) {
    let target = target(name);
    for (path, bytes) in corpus(name) {
        println!("{}", path.display());
        target(&bytes);
    }
}

/// One change of some bytes: from, to, which kind, with what.
type Edit = (Index, Index, u8, u8);

fn damaged(mut bytes: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
    for (from, to, kind, byte) in edits {
        if bytes.is_empty() {
            break;
        }
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        let (start, end) = (from.min(to), from.max(to));
        match kind {
            0 => bytes[from] = *byte,
            1 => bytes.insert(from, *byte),
            2 => drop(bytes.drain(start..end.min(start + 60))),
            3 => {
                let part = bytes[start..end.min(start + 60)].to_vec();
                bytes.splice(to..to, part);
            }
            4 => bytes[from] ^= 1 << (byte % 8),
            _ => bytes.swap(from, to),
        }
    }
    bytes
}

/// So many files of the corpus, each with a few bytes overwritten, moved, doubled or cut out; two of them may be joined.
fn damage(name: &str, cases: u32) {
    let (target, files) = (target(name), corpus(name));
    let edit = (any::<Index>(), any::<Index>(), 0..6_u8, any::<u8>());
    let strategy =
        (any::<Index>(), proptest::option::weighted(0.2, any::<Index>()), prop::collection::vec(edit, 1..8));
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |cases| cases.parse().expect("a number"));
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let ran = runner.run(&strategy, |(file, other, edits)| {
        let mut bytes = file.get(&files).1.clone();
        bytes.extend(other.map(|other| other.get(&files).1.clone()).unwrap_or_default());
        target(&damaged(bytes, &edits));
        Ok(())
    });
    ran.unwrap_or_else(|error| panic!("{error}"));
}

/// Two tests a target.
macro_rules! tests_of {
    ($($target:ident: $cases:literal,)*) => {
        $(mod $target {
            #[test]
            fn every_file_of_the_corpus_is_met_as_it_should_be() {
                super::replay(stringify!($target));
            }

            #[test]
            fn damaged_files_of_the_corpus_do_no_harm() {
                super::damage(stringify!($target), $cases);
            }
        })*

        #[test]
        fn every_target_has_its_tests_its_corpus_and_its_program() {
            let tested = [$(stringify!($target)),*];
            let targets = TARGETS.map(|(name, _)| name);
            assert_eq!(tested.as_slice(), targets);
            assert_eq!(names_in("../corpus", ""), targets);
            assert_eq!(names_in("../fuzz_targets", ".rs"), targets);
        }
    };
}

tests_of! {
    answer: 2000,
    authenticate: 300,
    csv: 500,
    devices: 300,
    google_authenticator: 1000,
    history: 200,
    marks: 200,
    options: 2000,
    otpauth: 1000,
    pam_stack: 500,
    policy: 2000,
    pskc: 500,
    state: 500,
    stock: 500,
    users_oath: 1000,
    wire: 5000,
}

fn names_in(folder: &str, ending: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a folder of the repository")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .map(|name| name.strip_suffix(ending).unwrap_or(&name).to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_of_one_kind_does_no_harm_to_the_readers_of_another() {
    for (name, _) in TARGETS {
        for (path, bytes) in corpus(name) {
            println!("{}", path.display());
            for (_, target) in TARGETS {
                target(&bytes);
            }
        }
    }
}

#[test]
fn the_corpora_are_small() {
    let bytes: u64 = TARGETS
        .iter()
        .flat_map(|(name, _)| corpus(name))
        .map(|(_, bytes)| u64::try_from(bytes.len()).expect("a length"))
        .sum();
    assert!(bytes < MOST_BYTES, "{bytes} bytes: minimise them, see docs/fuzzing.md");
}

#[test]
fn the_corpora_of_states_and_messages_are_those_of_this_version() {
    let examples =
        [("state", mfa_fuzz_targets::state_examples()), ("wire", mfa_fuzz_targets::wire_examples())];
    for (target, examples) in examples {
        let files = corpus(target);
        for (name, bytes) in examples {
            let there = files.iter().find(|(path, _)| path.ends_with(name)).map(|(_, bytes)| bytes);
            assert_eq!(
                there,
                Some(&bytes),
                "{target}/{name}: cargo run -p mfa-fuzz-targets --example corpus"
            );
        }
    }
}

#[test]
fn a_message_in_words_shows_no_secret() {
    for (name, bytes) in mfa_fuzz_targets::wire_examples() {
        let envelope = mfa_wire::frame::decode::<mfa_wire::Envelope>(&bytes);
        let reply = mfa_wire::frame::decode::<mfa_wire::Reply>(&bytes);
        let shown = if name.starts_with("request") { format!("{envelope:?}") } else { format!("{reply:?}") };
        assert!(shown.starts_with("Ok("), "{name}: {shown}");
        for secret in
            ["12345678901234567890", "49, 50, 51", "hunter2", "755224", "287082", "AAAA", "11112222"]
        {
            assert!(!shown.contains(secret), "{name}: {shown}");
        }
    }
}

/// What a login comes to stands below a script, a line each: `# accepted device=phone`. So a script shows what its name says.
#[test]
fn the_logins_of_a_script_end_as_it_says() {
    let mut checked = 0;
    for (path, script) in corpus("authenticate") {
        let lines = script.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(b"# "));
        let expected: Vec<String> = lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        if expected.is_empty() {
            continue;
        }
        checked += 1;
        let found = mfa_fuzz_targets::logins(&script);
        assert_eq!(expected.len(), found.len(), "{}: {found:#?}", path.display());
        for (expected, found) in expected.iter().zip(&found) {
            let (expected, found) = (expected.split(" | "), found.split(" | "));
            assert!(
                expected.clone().count() == found.clone().count()
                    && expected.clone().zip(found.clone()).all(|(start, line)| line.starts_with(start)),
                "{}: {:?} instead of {:?}",
                path.display(),
                found.collect::<Vec<_>>(),
                expected.collect::<Vec<_>>()
            );
        }
    }
    assert!(checked >= 35, "{checked} scripts say how they end");
}
