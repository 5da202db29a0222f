//! sshd's own ways of logging in, and what they mean for the code.

use mfa_ssh_tests::{Login, PASSWORD, on_each_debian};

#[test]
fn a_public_key_alone_is_not_enough_where_a_code_is_asked_for_too() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        host.give_a_key("alice");
        host.configure_sshd("AuthenticationMethods publickey,keyboard-interactive:pam");
        assert_eq!(host.ssh_with("-i ~/.ssh/key", "alice", PASSWORD, &phone.wrong_code()), Login::Refused);
        assert_eq!(host.ssh_with("-i ~/.ssh/key", "alice", PASSWORD, &phone.code()), Login::In);

        // Without the key sshd does not even ask.
        let ended = host.ssh_client("", "alice").end();
        assert_eq!(ended.status, 255, "{}", ended.screen);
        assert!(!ended.screen.contains("Password"), "{}", ended.screen);
    });
}

#[test]
fn a_public_key_and_a_code_log_in_without_a_password() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        host.give_a_key("alice");
        host.configure_sshd("AuthenticationMethods publickey,keyboard-interactive:pam");
        host.configure_pam(
            "sshd",
            "auth required pam_mfa.so nodelay\naccount include common-account\nsession include common-session",
        );
        for (code, outcome) in [(phone.wrong_code(), Login::Refused), (phone.code(), Login::In)] {
            let client = host.ssh_client("-i ~/.ssh/key", "alice");
            client.wait_for("Verification code: ");
            host.type_code(&client, &code);
            assert_eq!(host.outcome(client, "alice"), outcome);
        }
    });
}

#[test]
fn root_is_blocked_by_sshd_and_its_device_not_charged_where_only_keys_may_log_in_as_root() {
    on_each_debian(|host| {
        let token = host.enroll("root");
        host.configure_sshd("PermitRootLogin prohibit-password");
        // More than the throttle forgives: had they been charged, the login below would be refused.
        for _ in 0..8 {
            assert_eq!(host.ssh("root", PASSWORD, &token.code()), Login::Refused);
        }
        host.wait_for_log(&["refused", "reason=blocked-by-sshd", "user=root"]);
        host.configure_sshd("PermitRootLogin yes");
        assert_eq!(host.ssh("root", PASSWORD, &token.code()), Login::In);
    });
}

#[test]
fn the_password_method_is_refused() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        host.configure_sshd("PasswordAuthentication yes");
        for _ in 0..8 {
            let client = host.ssh_client("-o PreferredAuthentications=password", "alice");
            client.wait_for("password: ");
            client.type_line(PASSWORD);
            assert_eq!(host.outcome(client, "alice"), Login::Refused);
        }
        host.wait_for_log(&["refused", "reason=cancelled", "user=alice"]);
        // Nobody typed a code, so none was charged.
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn the_password_method_is_not_fooled_by_a_prompt_that_hides_the_code() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        host.configure_sshd("PasswordAuthentication yes");
        host.configure_pam(
            "password-and-code",
            "auth required pam_unix.so nodelay\nauth required pam_mfa.so nodelay echo=off",
        );
        // sshd answers the hidden prompt with the password.
        for _ in 0..8 {
            let client = host.ssh_client("-o PreferredAuthentications=password", "alice");
            client.wait_for("password: ");
            client.type_line(PASSWORD);
            assert_eq!(host.outcome(client, "alice"), Login::Refused);
        }
        host.wait_for_log(&["refused", "reason=not-a-code", "user=alice"]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn an_sshd_child_killed_at_the_prompt_leaves_nothing_in_the_way() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let code = phone.code();
        for _ in 0..5 {
            let client = host.ssh_to_the_code_prompt("", "alice", PASSWORD);
            host.root("pkill --signal KILL --full 'alice \\[pam\\]'");
            // Whatever sshd makes of it, it is not a login.
            host.type_code(&client, &code);
            assert_ne!(client.end().status, 0);
        }
        assert_eq!(host.ssh("alice", PASSWORD, &code), Login::In);
    });
}

#[test]
fn an_sshd_child_killed_with_the_code_on_its_way_leaves_nothing_in_the_way() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        for milliseconds in 0..10 {
            let client = host.ssh_to_the_code_prompt("", "alice", PASSWORD);
            let kill = host.terminal(
                "root",
                &format!(
                    "echo ready; read go; sleep 0.00{milliseconds}; pkill --signal KILL --full 'alice \\[pam\\]'"
                ),
            );
            kill.wait_for("ready");
            // A code that is wrong: whether it was judged before the kill or not, the right one must work afterwards.
            kill.type_line("");
            host.type_code(&client, if milliseconds % 5 == 0 { "000000" } else { "not a code" });
            assert_ne!(client.end().status, 0);
            let _ = kill.end();
        }
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn a_client_that_leaves_at_the_prompt_is_not_charged() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        for _ in 0..8 {
            let client = host.ssh_to_the_code_prompt("", "alice", PASSWORD);
            assert_ne!(client.interrupt().status, 0);
        }
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn an_empty_answer_is_refused_and_not_charged() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        for _ in 0..8 {
            assert_eq!(host.ssh("alice", PASSWORD, ""), Login::Refused);
        }
        host.wait_for_log(&["refused", "reason=cancelled", "user=alice"]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}
