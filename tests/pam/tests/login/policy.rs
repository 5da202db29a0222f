//! policy.toml: missing means the default, broken means refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use mfa_test_harness::{Account, PamCode, Stack, Store};

use crate::{alice, assert_let_in, assert_refused};

#[test]
fn a_missing_policy_means_the_default() {
    let (store, alice) = alice();
    let stack = store.stack_with("policy=/nonexistent/policy.toml");
    assert_let_in(&alice.login_through(&stack).types(alice.code(alice.now)).run());
}

#[test]
fn an_empty_policy_means_the_default() {
    let (store, alice) = alice();
    let stack = with_policy(&store, "# nothing is decided here\n");
    assert_let_in(&alice.login_through(&stack).types(alice.code(alice.now)).run());
}

#[test]
fn a_broken_policy_refuses_every_login() {
    let (store, alice) = alice();
    for text in [
        "throttle = \"lenient\"\n",
        "throtle = \"nist\"\n",
        "throttle",
        "window_steps = 2\n",
        "window_steps = \"1\"\n",
        "[[[",
        "\u{0}",
        "throttle = \"nist\"\nthrottle = \"pci\"\n",
    ] {
        let stack = with_policy(&store, text);
        let login = alice.login_through(&stack).types(alice.code(alice.now)).run();
        assert_eq!(login.result(), PamCode::SERVICE_ERR, "{text:?}: {}", login.log_text());
        assert!(login.log_text().contains("reason=misconfigured"), "{}", login.log_text());
    }
    assert_let_in(&alice.login_at(&store, alice.now));
}

#[test]
fn a_policy_that_is_not_text_or_too_large_refuses() {
    let (store, alice) = alice();
    for content in [vec![0xff, 0xfe, 0x00], vec![b'#'; 1 << 20]] {
        let policy = store.beside("policy.toml");
        fs::write(&policy, content).unwrap();
        assert_misconfigured(&store, &alice, &policy);
    }
}

#[test]
fn a_policy_that_others_can_write_or_that_is_no_plain_file_refuses() {
    let (store, alice) = alice();
    let policy = store.beside("policy.toml");
    for mode in [0o666, 0o660, 0o622] {
        fs::write(&policy, "").unwrap();
        fs::set_permissions(&policy, Permissions::from_mode(mode)).unwrap();
        assert_misconfigured(&store, &alice, &policy);
    }
    fs::remove_file(&policy).unwrap();
    fs::create_dir(&policy).unwrap();
    assert_misconfigured(&store, &alice, &policy);
    fs::remove_dir(&policy).unwrap();
    symlink("/dev/zero", &policy).unwrap();
    assert_misconfigured(&store, &alice, &policy);
    fs::remove_file(&policy).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&policy).status().unwrap().success());
    assert_misconfigured(&store, &alice, &policy);
}

#[test]
fn a_policy_of_mode_0644_is_fine() {
    let (store, alice) = alice();
    let stack = with_policy(&store, "throttle = \"nist\"\n");
    fs::set_permissions(store.beside("policy.toml"), Permissions::from_mode(0o644)).unwrap();
    assert_let_in(&alice.login_through(&stack).types(alice.code(alice.now)).run());
}

#[test]
fn a_window_of_no_steps_accepts_the_present_code_alone() {
    let (store, alice) = alice();
    assert_let_in(&alice.login_at(&store, alice.now));
    let stack = with_policy(&store, "window_steps = 0\n");
    let present = alice.now + 100;
    for (code, lets_in) in [(present - 1, false), (present + 1, false), (present, true)] {
        let login = alice.login_through(&stack).at(alice.at(present)).types(alice.code(code)).run();
        assert_eq!(login.let_in(), lets_in, "{}", login.log_text());
    }
}

#[test]
fn the_preset_stig_disables_at_the_third_failure() {
    let (store, alice) = alice();
    let stack = with_policy(&store, "throttle = \"stig\"\n");
    for guess in 0..3 {
        let login = alice.login_through(&stack).types(alice.wrong_code(alice.now, guess)).run();
        assert_refused(&login, PamCode::AUTH_ERR, "wrong");
    }
    let later = alice.now + 1_000_000;
    let login = alice.login_through(&stack).at(alice.at(later)).types(alice.code(later)).run();
    assert_refused(&login, PamCode::AUTH_ERR, "disabled");
}

#[test]
fn the_preset_pci_waits_half_an_hour_from_the_tenth_failure() {
    let (store, alice) = alice();
    let stack = with_policy(&store, "throttle = \"pci\"\n");
    let mut step = alice.now;
    for _ in 0..10 {
        step += 200;
        let login = alice.login_through(&stack).at(alice.at(step)).types(alice.wrong_code(step, 0)).run();
        assert_refused(&login, PamCode::AUTH_ERR, "wrong");
    }
    let half_an_hour = alice.at(step) + 1800;
    let code = |second: u64| alice.code(second / alice.generator.period);
    let early = alice.login_through(&stack).at(half_an_hour - 1).types(code(half_an_hour - 1)).run();
    assert_refused(&early, PamCode::AUTH_ERR, "throttled");
    assert_let_in(&alice.login_through(&stack).at(half_an_hour).types(code(half_an_hour)).run());
}

fn with_policy(store: &Store, text: &str) -> Stack {
    let policy = store.beside("policy.toml");
    fs::write(&policy, text).unwrap();
    fs::set_permissions(&policy, Permissions::from_mode(0o600)).unwrap();
    store.stack_with(&format!("policy={}", policy.display()))
}

#[track_caller]
fn assert_misconfigured(store: &Store, alice: &Account, policy: &Path) {
    let stack = store.stack_with(&format!("policy={}", policy.display()));
    let login = alice.login_through(&stack).types(alice.code(alice.now)).run();
    assert_eq!(login.result(), PamCode::SERVICE_ERR, "{}", login.log_text());
    assert!(login.log_text().contains("reason=misconfigured"), "{}", login.log_text());
}
