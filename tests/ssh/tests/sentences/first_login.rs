//! A person without a device sets one up inside the first login, where the policy says so; and whom that does not concern is left alone.

use std::sync::Barrier;

use mfa_ssh_tests::{Client, Host, Locale, Login, PASSWORD, on_debian_13, on_each_debian};
use mfa_test_screen::Theme;

#[test]
fn a_person_without_a_device_sets_one_up_inside_the_login_and_needs_it_from_then_on() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        let login = host.first_login(Client::OpenSsh, Locale::Utf8, "alice");
        // A person who has a light screen sees the same code.
        let uri = login.scan("", 24, Theme::Dark);
        assert_eq!(login.scan("i", 24, Theme::Light), uri);
        assert_eq!(uri, format!("otpauth://totp/host:alice?secret={}&issuer=host", login.key()));
        let phone = login.app(&uri);
        let proof = phone.present_proof();
        let recovery_codes = login.prove_by(&proof);
        assert_eq!(login.finish(), Login::In);
        assert_eq!(host.devices("alice"), ["phone"]);
        host.wait_for_log(&["pam_mfa(sshd:auth)", "enroll-pending", "user=alice"]);
        host.wait_for_log(&[
            "pam_mfa(sshd:account)",
            "enrolled device=phone",
            "user=alice",
            "rhost=127.0.0.1",
        ]);
        let history = host.root("mfa-enroll --user alice history");
        assert!(history.contains("sshd login from 127.0.0.1"), "{history}");

        // Both codes are used up, though their time is not over.
        for code in proof {
            assert_eq!(host.ssh("alice", PASSWORD, &code), Login::Refused);
        }
        host.wait_for_log(&["pam_mfa(sshd:auth)", "refused reason=replayed", "user=alice"]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.next_code()), Login::In);
        let [first, ..] = recovery_codes.as_slice() else { panic!("no recovery codes") };
        assert_eq!(host.ssh("alice", PASSWORD, first), Login::In);
        assert_eq!(host.ssh("alice", PASSWORD, first), Login::Refused);
    });
}

#[test]
fn in_a_c_locale_the_ssh_client_shows_the_key_and_a_code_in_ascii() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        let login = host.first_login(Client::OpenSsh, Locale::C, "alice");
        // What it makes of the blocks is unreadable; the question below says what to do.
        login.terminal().type_line("");
        login.terminal().wait_for("Code (no QR code above? type a; Enter: back): ");
        let uri = login.scan("a", 50, Theme::Dark);
        assert_eq!(uri, format!("otpauth://totp/host:alice?secret={}&issuer=host", login.key()));
        assert!(login.terminal().text().is_ascii());
        login.prove(&login.app(&uri));
        assert_eq!(login.finish(), Login::In);
    });
}

#[test]
fn plink_shows_the_code_as_well() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        // As long as a name may be that still fits into 80 columns.
        host.root("useradd --create-home --shell /bin/bash bartholomew-longname && echo 'bartholomew-longname:correct horse' | chpasswd");
        for (user, locale) in [("alice", Locale::Utf8), ("bartholomew-longname", Locale::C)] {
            let login = host.first_login(Client::Plink, locale, user);
            let uri = login.scan("a", 60, Theme::Dark);
            assert_eq!(uri, format!("otpauth://totp/host:{user}?secret={}&issuer=host", login.key()));
            if locale == Locale::Utf8 {
                assert_eq!(login.scan("i", 24, Theme::Light), uri);
                login.back();
                assert_eq!(login.scan("", 24, Theme::Dark), uri);
            }
            login.prove(&login.app(&uri));
            assert_eq!(login.finish(), Login::In);
        }
    });
}

#[test]
fn a_program_on_paramiko_can_answer_too() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        for (user, locale) in [("alice", Locale::Utf8), ("bob", Locale::C)] {
            let login = host.first_login(Client::Paramiko, locale, user);
            let uri = login.scan("", 24, Theme::Dark);
            login.prove(&login.app(&uri));
            assert_eq!(login.finish(), Login::In);
        }
    });
}

#[test]
fn whoever_skips_the_picture_types_the_key_and_whoever_quits_is_refused() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        let login = host.first_login(Client::OpenSsh, Locale::Utf8, "alice");
        login.terminal().type_line("q");
        assert_eq!(login.outcome(), Login::Refused);
        host.wait_for_log(&["pam_mfa(sshd:account)", "refused reason=cancelled", "user=alice"]);
        assert_eq!(host.devices("alice"), Vec::<String>::new());

        let login = host.first_login(Client::OpenSsh, Locale::Utf8, "alice");
        login.terminal().type_line("s");
        login.terminal().wait_for("The code that the app shows now (Enter: back): ");
        let text = login.terminal().text();
        assert!(!text.contains('\u{2588}') && !text.contains('#'), "no picture was asked for:\n{text}");
        login.prove(&login.app_by_hand());
        assert_eq!(login.finish(), Login::In);
    });
}

#[test]
fn who_enrolls_is_up_to_the_policy() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        host.root("groupadd staff2 && usermod --append --groups staff2 alice");
        host.root("printf '[[rule]]\\ngroups = [\"staff2\"]\\nunenrolled = \"enroll\"\\n' >/etc/pam-mfa/policy.toml");
        let login = host.first_login(Client::OpenSsh, Locale::Utf8, "alice");
        login.prove(&login.app_by_hand());
        assert_eq!(login.finish(), Login::In);
        let before = host.store();
        assert_eq!(host.ssh("bob", PASSWORD, "123456"), Login::Refused);
        host.wait_for_log(&["refused reason=not-enrolled", "user=bob"]);
        assert_eq!(host.store(), before);
    });
}

#[test]
fn a_wrong_password_never_gets_to_the_enrollment() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        host.enroll("bob");
        let before = host.store();
        // As Debian's files have it, nobody is asked for a code after a wrong password: all see the same.
        let shown = ["alice", "bob", "ghost"].map(|user| wrong_password(host, user));
        assert!(shown.iter().all(|screen| *screen == shown[0]), "{shown:#?}");
        // Where the auth phase goes on after a wrong password, the account phase is never reached.
        host.configure_pam(
            "sshd",
            "auth required pam_unix.so nodelay\nauth required pam_mfa.so nodelay\n\
             account required pam_mfa.so\n@include common-account\n@include common-session",
        );
        let screen = wrong_password(host, "alice");
        assert!(!screen.contains("authenticator") && !screen.contains("code"), "{screen}");
        assert_eq!(host.store(), before, "nothing was begun");
        assert_eq!(host.log().matches("enrolling").count(), 0);

        let login = host.first_login(Client::OpenSsh, Locale::Utf8, "alice");
        login.leave();
    });
}

/// What is on the screen after a wrong password.
fn wrong_password(host: &Host, user: &str) -> String {
    let client = host.ssh_client("", user);
    client.wait_for("Password: ");
    client.type_line("wrong horse");
    let ended = client.end();
    assert_eq!(ended.status, 255, "{}", ended.screen);
    ended.screen.replace(user, "USER")
}

#[test]
fn an_account_that_has_expired_lets_nobody_in_by_enrolling() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        host.root("chage --expiredate 1 bob");
        // The module that knows it stands below ours.
        let login = host.first_login(Client::OpenSsh, Locale::Utf8, "bob");
        login.prove(&login.app_by_hand());
        assert_eq!(login.finish(), Login::Refused);
    });
}

#[test]
fn public_keys_nopasswd_su_by_root_and_a_cached_sudo_are_not_disturbed() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        // People without a device, where everybody is to have one.
        host.give_a_key("alice");
        let client = host.ssh_client("-i ~/.ssh/key", "alice");
        let ended = client.end();
        assert_eq!((ended.status, ended.screen.trim_end()), (0, "in as alice"));
        let copied = host.run(
            "visitor",
            "echo hello >/tmp/file && scp -q -i ~/.ssh/key -o StrictHostKeyChecking=no /tmp/file alice@127.0.0.1:file \
             && sftp -q -i ~/.ssh/key -b - alice@127.0.0.1 <<<'get file /tmp/back' && cmp /tmp/file /tmp/back",
        );
        assert_eq!(copied.status, 0, "{}", copied.screen);

        host.root("echo 'bob ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/20-bob");
        let ended = host.terminal("bob", "sudo id -un").end();
        assert_eq!((ended.status, ended.screen.trim_end()), (0, "root"));

        let ended = host.terminal("root", "su bob -c 'id -un'").end();
        assert_eq!((ended.status, ended.screen.trim_end()), (0, "bob"));
        assert_eq!(host.root("su - bob -c 'id -un'"), "bob\n");

        // alice gives her password to sudo while it asks for nothing else; then everybody is to have a device.
        host.root("cp /usr/local/share/debian-pam.d/sudo /etc/pam.d/sudo");
        let terminal = host.terminal("alice", "sudo echo first; read next; sudo -n echo second");
        terminal.wait_for("assword");
        terminal.type_line(PASSWORD);
        terminal.wait_for("first");
        host.uses_debians_pam_files("sudo");
        terminal.type_line("");
        let ended = terminal.end();
        assert!(ended.status == 0 && ended.screen.trim_end().ends_with("second"), "{}", ended.screen);

        assert_eq!(host.store(), "", "nobody was given a key");
        assert!(!host.log().contains("pam_mfa"), "{}", host.log());
    });
}

#[test]
fn a_client_that_can_not_be_asked_is_refused_and_the_log_says_why() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        host.configure_sshd("PasswordAuthentication yes");
        let client = host.ssh_client("-o PreferredAuthentications=password", "alice");
        client.wait_for("password: ");
        client.type_line(PASSWORD);
        let ended = client.end();
        assert!(ended.status == 255 && !ended.screen.contains("in as"), "{}", ended.screen);
        host.wait_for_log(&["pam_mfa(sshd:account)", "refused reason=cancelled", "user=alice"]);

        // One that may not ask at all, as in a script.
        let ended = host.run(
            "visitor",
            "ssh -o BatchMode=yes -o StrictHostKeyChecking=no alice@127.0.0.1 true </dev/null; echo ended $?",
        );
        assert!(ended.screen.contains("ended 255"), "{}", ended.screen);
        assert_eq!(host.devices("alice"), Vec::<String>::new());
    });
}

#[test]
fn copying_a_file_leads_to_a_device_too() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        host.root("echo hello >/tmp/file && chmod 0644 /tmp/file");
        let copying = host.terminal(
            "visitor",
            "scp -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null /tmp/file alice@127.0.0.1:file && echo copied",
        );
        copying.wait_for("Password: ");
        let login = host.first_login_at(copying, "alice");
        login.prove(&login.app_by_hand());
        login.terminal().type_line("");
        login.terminal().wait_for("copied");
        assert_eq!(host.root("cat ~alice/file"), "hello\n");
    });
}

#[test]
fn a_connection_that_is_cut_resumes_with_the_same_key() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        let begin = || host.first_login(Client::OpenSsh, Locale::Utf8, "alice");
        let login = begin();
        let key = login.key();
        login.leave();

        let login = begin();
        assert_eq!(login.key(), key);
        let uri = login.scan("", 24, Theme::Dark);
        let phone = login.app(&uri);
        login.leave();

        let login = begin();
        let [first, _] = phone.proof();
        login.type_first(&first);
        login.leave();
        assert_eq!(host.devices("alice"), Vec::<String>::new());

        // The first code was typed before, and the same two prove the key all the same.
        let login = begin();
        assert_eq!(login.key(), key);
        login.prove(&phone);
        // Cut while the recovery codes are shown: the device is proven, and is what the next login asks for.
        login.leave();
        assert_eq!(host.devices("alice"), ["phone"]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn an_sshd_child_killed_in_the_middle_leaves_a_whole_account() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        let begin = || host.first_login(Client::OpenSsh, Locale::Utf8, "alice");
        let kill = || {
            host.root("pkill --signal KILL --full '^sshd.*alice \\[pam\\]'");
        };
        let login = begin();
        let phone = login.app_by_hand();
        kill();
        login.leave();
        let login = begin();
        let [first, _] = phone.proof();
        login.type_first(&first);
        kill();
        login.leave();
        assert_eq!(host.devices("alice"), Vec::<String>::new());

        // At any moment around the second code: either nothing has happened, or everything has.
        for milliseconds in [0, 2, 4, 6, 8, 10, 15, 20] {
            let login = begin();
            let [first, second] = phone.proof();
            login.type_first(&first);
            let kill = host.terminal(
                "root",
                &format!(
                    "echo ready; read go; sleep 0.0{milliseconds:02}; pkill --signal KILL --full '^sshd.*alice \\[pam\\]'"
                ),
            );
            kill.wait_for("ready");
            kill.type_line("");
            host.type_code(login.terminal(), &second);
            let _ = kill.end();
            login.leave();
            if !host.devices("alice").is_empty() {
                break;
            }
        }
        if host.devices("alice").is_empty() {
            let login = begin();
            login.prove(&phone);
            assert_eq!(login.finish(), Login::In);
        }
        assert_eq!(host.devices("alice"), ["phone"]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code_used_for_the_enrollment()), Login::Refused);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn two_first_logins_at_once_give_one_device() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        let logins = [(); 2].map(|()| host.first_login(Client::OpenSsh, Locale::Utf8, "alice"));
        let [one, other] = &logins;
        assert_eq!(one.key(), other.key());
        let phone = one.app_by_hand();
        let [first, second] = phone.proof();
        for login in &logins {
            login.type_first(&first);
        }
        let barrier = Barrier::new(logins.len());
        std::thread::scope(|scope| {
            for login in &logins {
                let (barrier, second) = (&barrier, &second);
                scope.spawn(move || {
                    barrier.wait();
                    host.type_code(login.terminal(), second);
                });
            }
        });
        // One gets the recovery codes, the other is asked for a code like everybody who has a device.
        let (mut done, mut asked) = (0, 0);
        for login in logins {
            if login
                .terminal()
                .wait_for_one_of(&["Write them down, then press Enter: ", "Verification code: "])
                == 0
            {
                done += 1;
                assert_eq!(login.finish(), Login::In);
            } else {
                asked += 1;
                host.type_code(login.terminal(), &second);
                assert_eq!(login.outcome(), Login::Refused, "the codes that proved it are used up");
            }
        }
        assert_eq!((done, asked), (1, 1));
        assert_eq!(host.devices("alice"), ["phone"]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn who_is_overtaken_gets_in_with_the_next_code() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        let slow = host.first_login(Client::OpenSsh, Locale::Utf8, "alice");
        let fast = host.first_login(Client::OpenSsh, Locale::Utf8, "alice");
        let phone = fast.app_by_hand();
        fast.prove(&phone);
        assert_eq!(fast.finish(), Login::In);
        let [first, second] = phone.proof();
        slow.type_first(&first);
        host.type_code(slow.terminal(), &second);
        slow.terminal().wait_for("Verification code: ");
        host.type_code(slow.terminal(), &phone.code());
        assert_eq!(slow.outcome(), Login::In);
        assert_eq!(host.devices("alice"), ["phone"]);
    });
}

#[test]
fn sudo_su_and_login_give_a_device_as_well() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        let programs = [
            ("alice", "alice", "sudo echo in as alice"),
            ("visitor", "bob", "su bob -c 'echo in as bob'"),
            ("root", "carol", "exec login carol"),
        ];
        for (caller, user, command) in programs {
            let terminal = host.terminal(caller, command);
            terminal.wait_for("assword");
            std::thread::sleep(std::time::Duration::from_millis(200));
            let login = host.first_login_at(terminal, user);
            let uri = login.scan("", 24, Theme::Dark);
            login.prove(&login.app(&uri));
            login.terminal().type_line("");
            if user == "carol" {
                login.terminal().wait_for("carol@host");
                login.terminal().type_line("echo in as $(id -un); exit");
            }
            login.terminal().wait_for(&format!("in as {user}"));
            assert_eq!(host.devices(user), ["phone"]);
        }
    });
}

#[test]
fn sudo_rs_gives_a_device_as_well() {
    on_debian_13(|host| {
        host.lets_people_enroll();
        let terminal = host.terminal("alice", "sudo-rs echo in as alice");
        terminal.wait_for("assword");
        std::thread::sleep(std::time::Duration::from_millis(200));
        let login = host.first_login_at(terminal, "alice");
        let uri = login.scan("", 24, Theme::Dark);
        login.prove(&login.app(&uri));
        login.terminal().type_line("");
        login.terminal().wait_for("in as alice");
    });
}
