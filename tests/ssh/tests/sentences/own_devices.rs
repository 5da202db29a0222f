//! People see to their own devices without root, and programs of theirs ask for a code, where mfad runs; logins do without it.

use mfa_ssh_tests::{Client, Device, Host, Locale, Login, PASSWORD, Terminal, on_each_debian};

const CODE_WANTED: &str = "Current code of one of your devices, or a recovery code: ";

#[test]
fn a_person_gets_keeps_and_loses_devices_without_root() {
    on_each_debian(|host| {
        host.starts_mfad();
        let phone = add_first(host, "alice");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);

        // The password was enough for the first. For a second it takes a code, and a used one does not do.
        let adding = host.terminal("alice", "mfa-enroll add --name tablet");
        adding.wait_for(CODE_WANTED);
        host.type_code(&adding, &phone.code());
        adding.wait_for(CODE_WANTED);
        host.type_code(&adding, &phone.next_code());
        let tablet = prove(host, &adding);
        assert_eq!(adding.end().status, 0);
        assert_eq!(host.devices("alice"), ["phone", "tablet"]);
        assert_eq!(host.ssh("alice", PASSWORD, &tablet.code()), Login::In);

        let status = host.run("alice", "mfa-enroll status");
        assert!(status.status == 0 && status.screen.contains("tablet"), "{}", status.screen);

        let making = host.terminal("alice", "mfa-enroll recovery-codes");
        making.wait_for("[y/N] ");
        making.type_line("y");
        making.wait_for(CODE_WANTED);
        host.type_code(&making, &tablet.next_code());
        making.wait_for("They are not shown again.");
        let ended = making.end();
        let recovery_code =
            ended.screen.split_whitespace().find(|word| word.split('-').count() == 4 && word.len() == 19);
        let recovery_code = recovery_code.expect("recovery codes are shown");

        // A phone that is lost is removed by a recovery code.
        let removing = host.terminal("alice", "mfa-enroll remove tablet --yes");
        removing.wait_for(CODE_WANTED);
        host.type_code(&removing, recovery_code);
        assert_eq!(removing.end().status, 0);
        assert_eq!(host.devices("alice"), ["phone"]);
        assert_eq!(host.ssh("alice", PASSWORD, &tablet.code_in(1)), Login::Refused);
        let history = host.run("alice", "mfa-enroll history").screen;
        assert!(history.contains("alice by mfad"), "{history}");
    });
}

#[test]
fn a_first_device_takes_the_password_and_a_wrong_one_makes_nothing() {
    on_each_debian(|host| {
        host.starts_mfad();
        let before = host.store();
        let adding = host.terminal("alice", "mfa-enroll add");
        adding.wait_for("Password of alice: ");
        adding.type_line("wrong horse");
        adding.wait_for("Password of alice: ");
        let ended = adding.interrupt();
        assert!(
            ended.status != 0 && ended.screen.contains("That is not the password of alice."),
            "{}",
            ended.screen
        );
        assert_eq!(host.store(), before);
        host.wait_for_log(&["mfad[", "password finding=wrong", "user=alice"]);
    });
}

#[test]
fn nobody_is_told_of_others_or_changes_what_is_theirs() {
    on_each_debian(|host| {
        host.starts_mfad();
        let phone = host.enroll("bob");
        let before = host.store();
        for words in [
            "status --json",
            "history --json",
            "remove phone --yes",
            "add --json",
            "recovery-codes --yes --json",
            "test --json",
        ] {
            // bob has a device, and carol has none.
            let [bob, carol] = ["bob", "carol"].map(|other| {
                let ended = host.run("alice", &format!("echo 123456 | mfa-enroll --user {other} {words}"));
                (ended.status, ended.screen.replace(other, "OTHER"))
            });
            assert_eq!(bob, carol);
            assert!(bob.0 != 0 && bob.1.contains("is not yours"), "{words}: {}", bob.1);
        }
        assert_eq!(host.store(), before);
        // As root of a user namespace of her own, alice is still alice.
        let ended = host.run("alice", "unshare --user --map-root-user mfa-enroll --user bob status");
        assert!(ended.status != 0 && !ended.screen.contains("phone"), "{}", ended.screen);
        assert_eq!(host.ssh("bob", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn a_screen_locker_that_can_gain_no_rights_asks_for_the_persons_own_code() {
    on_each_debian(|host| {
        host.starts_mfad();
        host.configure_pam("locker", "auth required pam_mfa.so nodelay");
        let alice = host.enroll("alice");
        let bob = host.enroll("bob");
        let code = alice.code();
        assert!(unlocks(host, "alice", &code));
        // What is used up there is used up everywhere, and the other way round.
        assert_eq!(host.ssh("alice", PASSWORD, &code), Login::Refused);
        let code = alice.next_code();
        assert_eq!(host.ssh("alice", PASSWORD, &code), Login::In);
        assert!(!unlocks(host, "alice", &code));
        // Another person's code can't be tried at all, so it is not used up and not charged.
        for code in [bob.wrong_code(), bob.code()] {
            assert!(!unlocks(host, "bob", &code));
        }
        assert_eq!(host.ssh("bob", PASSWORD, &bob.code()), Login::In);
    });
}

#[test]
fn with_mfad_stopped_logins_work_as_before_and_people_are_told() {
    on_each_debian(|host| {
        host.starts_mfad();
        let phone = add_first(host, "alice");
        host.stops_mfad();
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
        let sudo = host.terminal("alice", "sudo id -un");
        sudo.wait_for("assword");
        sudo.type_line(PASSWORD);
        sudo.wait_for("Verification code: ");
        host.type_code(&sudo, &phone.next_code());
        let ended = sudo.end();
        assert!(ended.status == 0 && ended.screen.contains("root"), "{}", ended.screen);
        let ended = host.run("alice", "mfa-enroll status");
        assert!(ended.status != 0 && ended.screen.contains("hint: "), "{}", ended.screen);
        // What root enrolls meanwhile is mfad's as well.
        host.enroll("bob");
        host.starts_mfad();
        let ended = host.run("bob", "mfa-enroll status");
        assert!(ended.status == 0 && ended.screen.contains("phone"), "{}", ended.screen);
    });
}

#[test]
fn while_mfad_takes_over_the_store_people_are_enrolled_and_log_in() {
    on_each_debian(|host| {
        host.root("for number in $(seq 20); do useradd \"user$number\"; done");
        let phone = host.enroll("alice");
        // The first start gives everything that is there to mfad's user; meanwhile root enrolls one after the other.
        let enrolled = host.root(
            "mfad --listen /run/pam-mfa/socket </dev/null >/dev/null 2>>/proc/1/fd/2 &
             for number in $(seq 20); do mfa-enroll --user \"user$number\" add --json </dev/null 2>/dev/null | head -n 1; done",
        );
        assert_eq!(enrolled.matches("\"secret\"").count(), 20, "{enrolled}");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
        let left = host.root("find /var/lib/pam-mfa ! -user pam-mfa");
        assert_eq!(left, "", "all of it is mfad's now");
    });
}

#[test]
fn a_device_from_the_first_login_is_seen_to_without_root() {
    on_each_debian(|host| {
        host.lets_people_enroll();
        host.starts_mfad();
        let login = host.first_login(Client::OpenSsh, Locale::Utf8, "alice");
        let phone = login.app_by_hand();
        login.prove(&phone);
        assert_eq!(login.finish(), Login::In);
        let renaming = host.terminal("alice", "mfa-enroll rename phone 'my phone'");
        renaming.wait_for(CODE_WANTED);
        host.type_code(&renaming, &phone.code());
        assert_eq!(renaming.end().status, 0);
        assert_eq!(host.devices("alice"), ["my phone"]);
    });
}

/// Adds a first device as its owner.
fn add_first(host: &Host, user: &str) -> Device {
    let adding = host.terminal(user, "mfa-enroll add");
    adding.wait_for(&format!("Password of {user}: "));
    adding.type_line(PASSWORD);
    let device = prove(host, &adding);
    adding.wait_for("They are not shown again.");
    assert_eq!(adding.end().status, 0);
    device
}

/// Puts the key on the screen into an app, and types two codes of it.
fn prove(host: &Host, adding: &Terminal) -> Device {
    adding.wait_for("First code: ");
    let device = host.device_with_key(&adding.key());
    let [first, second] = device.proof();
    host.type_code(adding, &first);
    adding.wait_for("Next code:  ");
    host.type_code(adding, &second);
    device
}

/// Whether alice's locker, as root has set it up for her, opens for this user and code.
fn unlocks(host: &Host, user: &str, code: &str) -> bool {
    let locker =
        host.terminal("alice", &format!("setpriv --no-new-privs pamtester locker {user} authenticate"));
    locker.wait_for("Verification code: ");
    host.type_code(&locker, code);
    locker.end().status == 0
}
