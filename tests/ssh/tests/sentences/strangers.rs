//! What somebody learns, or gets, who is not who they say.

use mfa_ssh_tests::{Host, Login, PASSWORD, on_each_debian};

#[test]
fn unknown_not_enrolled_and_enrolled_users_see_the_same() {
    on_each_debian(|host| {
        host.root("useradd --create-home --shell /bin/bash noone && echo 'noone:correct horse' | chpasswd");
        let phone = host.enroll("alice");
        let wrong_code = phone.wrong_code();
        let enrolled = screen(host, "alice", PASSWORD, &wrong_code);
        let not_enrolled = screen(host, "noone", PASSWORD, &wrong_code);
        let unknown = screen(host, "ghost", PASSWORD, &wrong_code);
        let wrong_password = screen(host, "alice", "wrong horse", &wrong_code);
        assert_eq!(enrolled, not_enrolled);
        assert_eq!(enrolled, unknown);
        assert_eq!(enrolled, wrong_password);

        // The log does tell them apart.
        host.wait_for_log(&["reason=wrong", "user=alice"]);
        host.wait_for_log(&["reason=not-enrolled", "user=noone"]);
        host.wait_for_log(&["reason=blocked-by-sshd", "user=ghost"]);
    });
}

#[test]
fn a_user_who_is_not_enrolled_is_refused() {
    on_each_debian(|host| {
        let other = host.enroll("alice");
        assert_eq!(host.ssh("carol", PASSWORD, &other.code()), Login::Refused);
        // A stranger's attempt leaves nothing behind.
        assert_eq!(host.root("ls /var/lib/pam-mfa/users"), "alice\n");
    });
}

#[test]
fn a_user_cannot_read_or_change_the_store() {
    on_each_debian(|host| {
        let phone = host.enroll("alice");
        assert_eq!(host.ssh("alice", PASSWORD, &phone.code()), Login::In);
        let find = "find /var/lib/pam-mfa /etc/pam-mfa/key /run/pam-mfa -exec stat --format '%A %U %n' {} +";
        let before = host.root(find);
        assert!(before.contains("alice/state"), "{before}");
        let files: Vec<&str> = before.lines().filter_map(|line| line.split(' ').next_back()).collect();
        let attempts = [
            "cat $file",
            "ls $file/.",
            "true <>$file",
            "touch $file",
            "touch $file/x",
            "rm $file",
            "mv $file $file.old",
            "ln $file /tmp/linked",
            "chmod 0777 $file",
        ];
        // Every attempt that succeeds is printed.
        let attempts = attempts.map(|attempt| format!("{attempt} && echo \"{attempt}\"")).join("; ");
        let ended =
            host.run("alice", &format!("for file in {}; do {attempts}; done 2>/dev/null", files.join(" ")));
        // Anyone may look into the folder that holds nothing but the floors of a read-only store.
        assert_eq!(ended.screen.replace("ls /run/pam-mfa/.\n", ""), "");
        assert_eq!(host.root(find), before);
        assert_eq!(host.ssh("alice", PASSWORD, &phone.next_code()), Login::In);
    });
}

#[test]
fn a_record_copied_to_another_user_does_not_open() {
    on_each_debian(|host| {
        host.enroll("alice");
        let bob = host.enroll("bob");
        host.root("cp -a /var/lib/pam-mfa/users/bob/. /var/lib/pam-mfa/users/alice/");
        assert_eq!(host.ssh("alice", PASSWORD, &bob.code()), Login::Refused);
        host.wait_for_log(&["refused", "user=alice", "reason=unavailable"]);
        assert_eq!(host.ssh("bob", PASSWORD, &bob.code()), Login::In);
    });
}

#[test]
fn an_ugly_user_name_creates_nothing_and_sees_the_same() {
    on_each_debian(|host| {
        host.enroll("alice");
        // Control characters never leave the OpenSSH client; what it lets through is ugly enough.
        let long = "x".repeat(300);
        for name in ["../alice", "../../../etc/passwd", "..", "a/b", "%s%n", "CORP\\alice", "ünï", &long] {
            let client = host.ssh_to_the_code_prompt("", &format!("'{name}'"), PASSWORD);
            client.type_line("000000");
            assert_eq!(client.end().status, 255);
        }
        assert_eq!(host.root("ls -A /var/lib/pam-mfa/users"), "alice\n");
        assert_eq!(host.log().matches("reason=blocked-by-sshd").count(), 8);
    });
}

fn screen(host: &Host, user: &str, password: &str, code: &str) -> String {
    let client = host.ssh_to_the_code_prompt("", user, password);
    host.type_code(&client, code);
    let ended = client.end();
    assert_eq!(ended.status, 255, "{}", ended.screen);
    ended.screen.replace(user, "USER")
}
