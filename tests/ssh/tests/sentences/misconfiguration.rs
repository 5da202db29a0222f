//! A PAM file edited wrongly, a broken policy, a bug in the module: refused, with the reason in the log.

use mfa_ssh_tests::{Host, Login, PASSWORD, Setup, on_each_debian, on_each_debian_set_up};

#[test]
fn an_unknown_module_option_refuses() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        for (option, logged) in [
            ("nullok", "unknown option nullok"),
            ("nodelayed", "unknown option nodelayed"),
            ("echo=maybe", "echo= must be on or off"),
            ("store=relative", "store= must be an absolute path"),
            ("debug debug", "debug stands twice"),
            ("policy", "unknown option policy"),
        ] {
            stack(host, option);
            assert_refused_after_the_password(host);
            host.wait_for_log(&["pam_mfa(sshd:auth)", "refused reason=misconfigured", logged]);
        }
        stack(host, "nodelay");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn a_broken_policy_refuses() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        for (harm, reason) in [
            ("echo 'this is no policy' >policy.toml", "misconfigured"),
            ("echo 'nullok = true' >policy.toml", "misconfigured"),
            ("chmod 0666 policy.toml", "misconfigured"),
        ] {
            host.root(&format!("cd /etc/pam-mfa; echo 'throttle = \"nist\"' >policy.toml; {harm}"));
            assert_refused_after_the_password(host);
            host.wait_for_log(&["pam_mfa(sshd:auth)", &format!("refused reason={reason}"), "policy.toml"]);
            host.root("rm /etc/pam-mfa/policy.toml");
        }
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn a_panic_in_the_module_is_a_refusal() {
    on_each_debian_set_up(Setup::PanicsOnPurpose, |host| {
        let phone = host.enroll("alice");
        stack(host, "nodelay panic_for_tests");
        assert_refused_after_the_password(host);
        host.wait_for_log(&["authpriv.alert", "pam_mfa", "internal error at", ".rs:"]);
        host.wait_for_log(&[
            "pam_mfa(sshd:auth)",
            "refused reason=unavailable",
            "internal error",
            "user=alice",
        ]);

        // The next one is not harmed by it.
        stack(host, "nodelay");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn the_released_module_can_not_be_told_to_panic() {
    on_each_debian(|host| {
        host.enroll("alice");
        stack(host, "nodelay panic_for_tests");
        assert_refused_after_the_password(host);
        host.wait_for_log(&["pam_mfa(sshd:auth)", "refused reason=misconfigured", "panic_for_tests"]);
    });
}

#[test]
fn debugging_logs_no_code_and_no_secret() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        stack(host, "nodelay debug");
        let code = phone.code();
        assert_eq!(host.ssh("alice", PASSWORD, &phone.wrong_code()), Login::Refused);
        assert_eq!(host.ssh("alice", PASSWORD, "my other password"), Login::Refused);
        host.never_to_be_logged("my other password");
        assert_eq!(host.ssh("alice", PASSWORD, &code), Login::In);
        assert_eq!(host.ssh("alice", PASSWORD, &code), Login::Refused);
        // The harness has told the logs apart from what was typed; here is only that debugging was on.
        host.wait_for_log(&["authpriv.debug", "pam_mfa(sshd:auth)"]);
    });
}

fn stack(host: &Host, options: &str) {
    host.configure_pam(
        "password-and-code",
        &format!("auth required pam_unix.so nodelay\nauth required pam_mfa.so {options}"),
    );
}

/// What is wrong is wrong for everyone, and known before anyone is asked for a code.
fn assert_refused_after_the_password(host: &Host) {
    let client = host.ssh_client("", "alice");
    client.wait_for("Password: ");
    client.type_line(PASSWORD);
    let ended = client.end();
    assert!(ended.status == 255 && ended.screen.contains("Permission denied"), "{}", ended.screen);
    assert!(!ended.screen.contains("internal") && !ended.screen.contains("pam_mfa"), "{}", ended.screen);
}
