//! The shared object itself: what it exports, what it needs, and that a panic in it is a refusal.

use std::path::Path;
use std::process::Command;

use mfa_test_harness::{Login, PamCode, Stack, artifacts};

use crate::{alice, assert_let_in};

#[test]
fn the_module_exports_its_six_functions_and_nothing_else() {
    let table = readelf(&["--dyn-syms", "--wide"], &artifacts::module());
    let mut exported: Vec<&str> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| {
            matches!(words.as_slice(), [number, _, _, _, "GLOBAL" | "WEAK", _, section, _, ..]
            if number.ends_with(':') && *section != "UND")
        })
        .filter_map(|words| words.get(7).copied())
        .collect();
    exported.sort_unstable();
    assert_eq!(
        exported,
        [
            "pam_sm_acct_mgmt",
            "pam_sm_authenticate",
            "pam_sm_chauthtok",
            "pam_sm_close_session",
            "pam_sm_open_session",
            "pam_sm_setcred",
        ]
    );
}

#[test]
fn the_module_needs_no_library_but_libpam_and_libc() {
    let dynamic = readelf(&["--dynamic", "--wide"], &artifacts::module());
    let needed: Vec<&str> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split('[').nth(1)?.split(']').next())
        .collect();
    assert!(needed.iter().any(|library| library.starts_with("libc.so")), "{dynamic}");
    for library in needed {
        let allowed = ["libpam.so.0", "libc.so.6"].contains(&library);
        // The dynamic loader, a part of libc that is named by architecture.
        assert!(allowed || library.starts_with("ld-linux"), "needs {library}");
    }
    assert!(!dynamic.contains("(RPATH)") && !dynamic.contains("(RUNPATH)"), "{dynamic}");
    assert!(!dynamic.contains("(TEXTREL)"), "{dynamic}");
}

#[test]
fn the_module_in_use_has_no_switch_for_a_panic() {
    let (store, alice) = alice();
    let login = alice.login_through(&store.stack_with("panic_for_tests")).types("").run();
    assert_eq!(login.result(), PamCode::SERVICE_ERR, "a build for tests: {login:#?}");
}

#[test]
fn a_panic_in_the_module_is_a_refusal_and_prints_nothing() {
    let (store, alice) = alice();
    let panicking = artifacts::panicking_module();
    let code = alice.code(alice.now);
    let stack = |options: &str| {
        Stack::with_module(&format!("auth required {} {options}", store.module()), &panicking)
    };
    let login: Login = alice.login_through(&stack("panic_for_tests")).types(&code);
    // The harness fails the test if anything of the panic shows on stderr or in the log, or the host dies.
    let panicked = login.run();
    assert_eq!(panicked.killed_by(), None);
    assert!(!panicked.let_in(), "{panicked:#?}");
    assert!(panicked.log_text().contains("refused reason="), "the refusal is not logged: {:?}", panicked.log);
    // The same build without the option is the module as it is, and the panic left nothing behind in the store.
    assert_let_in(&alice.login_through(&stack("")).types(&code).run());
}

fn readelf(options: &[&str], file: &Path) -> String {
    let output = Command::new("readelf").args(options).arg(file).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|error| panic!("readelf: {error}\nhint: apt-get install binutils"));
    assert!(
        output.status.success(),
        "readelf {}: {}",
        file.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
