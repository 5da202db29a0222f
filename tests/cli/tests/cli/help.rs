//! `--help` and the man pages tell the same.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use mfa_cli_tests::{mfa_admin, mfa_enroll, run};
use mfa_test_harness::{Store, artifacts};

/// The commands of a program and their man page.
const PROGRAMS: [(&str, &[&str], &str); 2] = [
    (
        "mfa-enroll",
        &[
            "add",
            "activate",
            "status",
            "test",
            "resync",
            "rename",
            "suspend",
            "resume",
            "remove",
            "recovery-codes",
            "history",
        ],
        "mfa-enroll.1",
    ),
    ("mfa-admin", &MFA_ADMIN, "mfa-admin.8"),
];

const MFA_ADMIN: [&str; 17] = [
    "list",
    "status",
    "history",
    "unlock",
    "repair",
    "bypass",
    "tokens import",
    "tokens list",
    "tokens show",
    "tokens assign",
    "tokens unassign",
    "tokens remove",
    "import",
    "migrate google-authenticator",
    "migrate oath",
    "export",
    "import-account",
];

fn help(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(artifacts::folder().join(program));
    let ran = run(command.args(arguments).arg("--help"), "");
    ran.assert_done();
    ran.out
}

fn man_page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/man").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The options that a help text describes: `--name`, `-h`.
fn options_of_help(help: &str) -> BTreeSet<String> {
    let described = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    let words = described
        .flat_map(|line| line.split([' ', ',']).take_while(|word| word.is_empty() || word.starts_with('-')));
    words.filter(|word| word.starts_with('-')).map(str::to_owned).collect()
}

/// The options that a section of a man page describes, as `.It Fl \-name` does.
fn options_of_man(section: &str) -> BTreeSet<String> {
    let described = section.lines().filter(|line| line.starts_with(".It Fl"));
    let flags =
        described.flat_map(|line| line.split(" Fl ").skip(1).filter_map(|rest| rest.split(' ').next()));
    flags.map(|flag| format!("-{}", flag.replace(r"\-", "-"))).collect()
}

#[test]
fn every_option_is_in_the_man_page_and_the_other_way_round() {
    for (program, commands, page) in PROGRAMS {
        let page = man_page(page);
        let description = page.split(".Sh ").find(|section| section.starts_with("DESCRIPTION")).unwrap();
        let sections: Vec<&str> = description.split(".Ss ").collect();
        let global = options_of_man(sections[0]);
        assert_eq!(options_of_help(&help(program, &[])), global, "{program}");
        let titles: Vec<&str> = sections[1..].iter().map(|section| section.lines().next().unwrap()).collect();
        assert_eq!(titles, commands, "the sections of the man page of {program}");
        for (command, section) in commands.iter().zip(&sections[1..]) {
            let mut of_command = options_of_help(&help(program, &command.split(' ').collect::<Vec<_>>()));
            let mut shared = global.clone();
            // The version is the program's, not a command's.
            shared.retain(|option| option != "-V" && option != "--version");
            assert!(of_command.is_superset(&shared), "{program} {command}");
            of_command.retain(|option| !shared.contains(option));
            assert_eq!(of_command, options_of_man(section), "{program} {command}");
        }
    }
}

#[test]
fn help_names_all_commands_and_the_exit_codes() {
    for (program, commands, page) in PROGRAMS {
        let text = help(program, &[]);
        for command in commands {
            let command = command.split(' ').next().unwrap();
            assert!(text.contains(&format!("\n  {command} ")), "{text}");
        }
        assert!(text.contains("Exit codes: 0 done, 1 refused or failed, 2 wrong usage."), "{text}");
        assert!(text.contains(&page.replace('.', "(")), "the man page is named: {text}");
    }
}

#[test]
fn every_option_of_the_synopsis_is_described() {
    for (_, _, page) in PROGRAMS {
        let page = man_page(page);
        let synopsis = page.split(".Sh ").find(|section| section.starts_with("SYNOPSIS")).unwrap();
        let described = options_of_man(&page);
        let flags = synopsis.lines().filter_map(|line| line.strip_prefix(".Op Fl "));
        let shown: BTreeSet<String> =
            flags.map(|rest| format!("-{}", rest.split(' ').next().unwrap().replace(r"\-", "-"))).collect();
        assert!(shown.is_subset(&described), "{:?}", shown.difference(&described));
        let missing: Vec<&String> = described
            .difference(&shown)
            .filter(|option| !matches!(option.as_str(), "-h" | "--help" | "-V" | "--version"))
            .collect();
        assert!(missing.is_empty(), "the synopsis lacks {missing:?}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let store = Store::temporary();
    for (mut command, program) in
        [(mfa_enroll(&store, "alice"), "mfa-enroll"), (mfa_admin(&store), "mfa-admin")]
    {
        let ran = run(command.arg("--version"), "");
        ran.assert_done();
        assert_eq!(ran.out, format!("{program} {}\n", env!("CARGO_PKG_VERSION")));
    }
}
