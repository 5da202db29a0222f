//! `mfad --help` and its manual page tell the same.

use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn every_option_is_in_the_man_page_and_the_other_way_round() {
    let output = Command::new(env!("CARGO_BIN_EXE_mfad")).arg("--help").output().expect("mfad starts");
    let help = String::from_utf8(output.stdout).expect("it speaks UTF-8");
    let of_help: BTreeSet<&str> = help
        .lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .flat_map(|line| line.split([' ', ',']))
        .filter(|word| word.starts_with("--"))
        .collect();
    let page = include_str!("../../packaging/man/mfad.8").replace(r"\-", "-");
    let described = page.lines().filter(|line| line.starts_with(".It Fl"));
    let of_page: BTreeSet<String> = described
        .flat_map(|line| line.split([' ', ',']))
        .filter_map(|word| word.strip_prefix('-'))
        .map(|word| format!("--{word}"))
        .collect();
    assert_eq!(of_help, of_page.iter().map(String::as_str).collect());
    let synopsis = page.split(".Sh ").find(|section| section.starts_with("SYNOPSIS")).expect("a synopsis");
    for option in of_help.iter().filter(|option| !matches!(**option, "--help" | "--version")) {
        assert!(synopsis.contains(&format!(".Op Fl {} ", &option[1..])), "the synopsis lacks {option}");
    }
    // What only mfad itself starts is not for people.
    assert!(!help.contains("check-password") && !help.contains("Commands:"), "{help}");
}
