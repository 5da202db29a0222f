//! A store that is damaged, gone, full or read-only, and a clock that is set back.

use mfa_ssh_tests::{Device, Host, Login, PASSWORD, Setup, on_each_debian, on_each_debian_set_up};

#[test]
fn a_missing_store_refuses_and_works_again_when_it_is_back() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        host.root("mv /var/lib/pam-mfa /var/lib/elsewhere");
        assert_refused_as_unavailable(host, &phone);
        host.root("mv /var/lib/elsewhere /var/lib/pam-mfa");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn a_missing_key_refuses_and_works_again_when_it_is_back() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        host.root("mv /etc/pam-mfa/key /etc/pam-mfa/elsewhere");
        assert_refused_as_unavailable(host, &phone);
        // A login makes no new key: it would be the end of every seed sealed with the old one.
        host.root("! [ -e /etc/pam-mfa/key ]");
        host.root("mv /etc/pam-mfa/elsewhere /etc/pam-mfa/key");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn an_unreadable_store_refuses() {
    on_each_debian_set_up(Setup::RootObeysModes, |host| {
        let phone = host.enroll("alice");
        for path in ["users/alice/devices.toml", "users/alice/state", "users/alice", "users"] {
            let path = format!("/var/lib/pam-mfa/{path}");
            let mode = host.root(&format!("stat --format %a {path}"));
            host.root(&format!("chmod 0000 {path}"));
            assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::Refused, "{path}");
            host.root(&format!("chmod {} {path}", mode.trim()));
        }
        host.wait_for_log(&["refused", "reason=unavailable", "user=alice"]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn a_file_of_the_store_that_others_may_write_refuses() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        for (harm, cure) in [
            ("chmod 0666 devices.toml", "chmod 0600 devices.toml"),
            ("chown alice devices.toml", "chown root devices.toml"),
            ("chown alice state", "chown root state"),
            ("mv devices.toml /tmp; ln -s /tmp/devices.toml", "rm devices.toml; mv /tmp/devices.toml ."),
            ("mv state /tmp; mkfifo -m 0600 state", "rm state; mv /tmp/state ."),
        ] {
            host.root(&format!("cd /var/lib/pam-mfa/users/alice; {harm}"));
            assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::Refused, "{harm}");
            host.root(&format!("cd /var/lib/pam-mfa/users/alice; {cure}"));
        }
        host.wait_for_log(&["refused", "reason=unavailable", "user=alice"]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn a_corrupt_devices_file_refuses() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        for harm in [
            "truncate --size 0 FILE",
            "truncate --size=-20 FILE",
            "echo nonsense >FILE",
            "head -c 200000 /dev/zero >FILE",
            "sed -i 's/[0-9]/7/g' FILE",
        ] {
            let file = "/var/lib/pam-mfa/users/alice/devices.toml";
            host.root(&format!("cp -a {file} /tmp/whole; {}", harm.replace("FILE", file)));
            assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::Refused, "{harm}");
            host.root(&format!("cp -a /tmp/whole {file}"));
        }
        host.wait_for_log(&["refused", "reason=unavailable", "user=alice"]);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
    });
}

#[test]
fn a_corrupt_state_refuses_and_one_torn_slot_does_not() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        host.root("cp -a /var/lib/pam-mfa/users/alice/state /tmp/state");
        for harm in ["truncate --size 0 FILE", "truncate --size 4096 FILE", "head -c 8192 /dev/urandom >FILE"]
        {
            host.root(&harm.replace("FILE", "/var/lib/pam-mfa/users/alice/state"));
            assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::Refused, "{harm}");
            host.root("cp -a /tmp/state /var/lib/pam-mfa/users/alice/state");
        }
        host.wait_for_log(&["refused", "reason=unavailable", "user=alice"]);

        // Whichever slot a power cut tears, the other one carries on.
        assert_eq!(host.ssh("alice", PASSWORD, &phone.wrong_code()), Login::Refused);
        host.root("cp -a /var/lib/pam-mfa/users/alice/state /tmp/state");
        for slot in [0, 1] {
            host.root(&format!(
                "cp -a /tmp/state /var/lib/pam-mfa/users/alice/state
                 dd if=/dev/urandom of=/var/lib/pam-mfa/users/alice/state bs=1 seek={} count=512 conv=notrunc 2>/dev/null",
                slot * 4096 + 16
            ));
            assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In, "slot {slot} is torn");
        }
    });
}

#[test]
fn a_full_memory_disk_locks_nobody_out() {
    on_each_debian_set_up(Setup::MayMount, |host| {
        host.mount_memory("/var/lib/pam-mfa");
        assert_a_full_disk_locks_nobody_out(host);
    });
}

#[test]
fn a_full_disk_locks_nobody_out() {
    on_each_debian_set_up(Setup::MayMountDisks, |host| {
        host.mount_disk("/var/lib/pam-mfa");
        assert_a_full_disk_locks_nobody_out(host);
    });
}

fn assert_a_full_disk_locks_nobody_out(host: &Host) {
    let phone = host.enroll("alice");
    host.root(
        "cd /var/lib/pam-mfa; for size in 64k 1k 1; do dd if=/dev/zero of=full-$size bs=$size 2>/dev/null || true; done
         ! { echo more >no-room && sync no-room; } 2>/dev/null",
    );
    let code = phone.code();
    assert_eq!(host.ssh("alice", PASSWORD, &phone.wrong_code()), Login::Refused);
    assert_eq!(host.ssh("alice", PASSWORD, &code), Login::In);
    assert_eq!(host.ssh("alice", PASSWORD, &code), Login::Refused);
    host.wait_for_log(&["refused", "reason=replayed", "user=alice"]);
    assert_eq!(host.ssh("alice", PASSWORD, &phone.next_code()), Login::In);
}

#[test]
fn on_a_read_only_store_a_code_logs_in_once() {
    on_each_debian_set_up(Setup::MayMount, |host| {
        host.mount_memory("/var/lib/pam-mfa");
        assert_read_only_logs_in_once(host);
    });
}

#[test]
fn on_a_read_only_disk_a_code_logs_in_once() {
    on_each_debian_set_up(Setup::MayMountDisks, |host| {
        host.mount_disk("/var/lib/pam-mfa");
        assert_read_only_logs_in_once(host);
    });
}

fn assert_read_only_logs_in_once(host: &Host) {
    let phone = host.enroll("alice");
    let recovery_codes = host.recovery_codes("alice");
    host.root("mount -o remount,ro /var/lib/pam-mfa && ! touch /var/lib/pam-mfa/x 2>/dev/null");
    let code = phone.code();
    assert_eq!(host.ssh("alice", PASSWORD, &code), Login::In);
    assert_eq!(host.ssh("alice", PASSWORD, &code), Login::Refused);
    host.wait_for_log(&["refused", "reason=replayed", "user=alice"]);
    // What only the store can remember over a restart is refused.
    let recovery_code = recovery_codes.first().map(String::as_str).unwrap_or_default();
    assert_eq!(host.ssh("alice", PASSWORD, recovery_code), Login::Refused);

    host.root("mount -o remount,rw /var/lib/pam-mfa");
    assert_eq!(host.ssh("alice", PASSWORD, &code), Login::Refused);
    assert_eq!(host.ssh("alice", PASSWORD, &phone.next_code()), Login::In);
    assert_eq!(host.ssh("alice", PASSWORD, recovery_code), Login::In);
}

#[test]
fn a_clock_set_back_revives_no_code() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let code = phone.code();
        assert_eq!(host.ssh("alice", PASSWORD, &code), Login::In);
        let half_a_minute_back = host.sshd_with_clock(-30);
        assert_eq!(host.ssh_with(&half_a_minute_back, "alice", PASSWORD, &code), Login::Refused);
        // The code of that time was never used, but one that came after it was.
        assert_eq!(host.ssh_with(&half_a_minute_back, "alice", PASSWORD, &phone.code_ago(1)), Login::Refused);
        let ten_minutes_back = host.sshd_with_clock(-600);
        assert_eq!(host.ssh_with(&ten_minutes_back, "alice", PASSWORD, &phone.code_ago(20)), Login::Refused);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.next_code()), Login::In);
    });
}

#[test]
fn a_clock_that_was_ahead_leaves_no_code_that_works_twice() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        let ahead = host.sshd_with_clock(600);
        let code = phone.code_in(20);
        // That it gets in shows that this sshd does live ten minutes ahead.
        assert_eq!(host.ssh_with(&ahead, "alice", PASSWORD, &code), Login::In);
        assert_eq!(host.ssh("alice", PASSWORD, &code), Login::Refused);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::Refused);
        assert_eq!(host.ssh_with(&ahead, "alice", PASSWORD, &code), Login::Refused);
    });
}

fn assert_refused_as_unavailable(host: &Host, phone: &Device) {
    assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::Refused);
    host.wait_for_log(&["refused", "reason=unavailable", "user=alice"]);
}
