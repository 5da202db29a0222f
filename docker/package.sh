#!/usr/bin/env bash
# The Debian package in clean containers: it installs, its programs run, it does not go while a PAM file asks for it, and leaves people's
# devices behind. Usage: package.sh RELEASE... (bookworm, trixie)
source "$(dirname "$0")/lib.sh"
cd "$repository"

main() {
    if [ $# -eq 0 ]; then set -- bookworm trixie; fi
    local release package
    say "building the Debian package"
    quietly make deb || fail "make deb failed" "see the lines above"
    package=$(ls "$target_folder/deb/pam-mfa_"*)
    "$repository/docker/engine.sh" start
    "$repository/docker/base-images.sh" "$@"
    for release in "$@"; do
        if is_older_than_this_system "$release"; then
            say "the package on $release: NOT TRIED, it was built on a newer system than that"
            continue
        fi
        say "the package on $release"
        engine run --rm --network none --volume "$package:/pam-mfa.deb:ro" "debian:$release-slim" sh -euc "$(trial)" ||
            fail "the package failed on $release" "the last line above says after which step"
    done
}

is_older_than_this_system() {
    local here there
    here=$(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2)
    there=$(engine run --rm --network none "debian:$1-slim" getconf GNU_LIBC_VERSION | cut -d ' ' -f 2)
    [ "$(printf '%s\n' "$here" "$there" | sort --version-sort | tail -n 1)" != "$there" ]
}

trial() {
    cat <<'END'
step() { echo "    $1"; }
# Ends the trial if the command succeeds.
fails() { if "$@"; then echo "    it did not fail: $*"; exit 1; fi; }
step "it installs with what a minimal system has"
dpkg --install /pam-mfa.deb >/dev/null 2>&1
step "the module lies beside the others"
test -e "$(dirname "$(find /usr/lib -name pam_unix.so)")/pam_mfa.so"
step "its programs run"
mfa-enroll --version; mfa-admin --version; mfad --version
step "no PAM file but its own asks for anything"
fails grep -rqE '^[^#]*pam_mfa' /etc/pam.d
step "the system user is there, or can be made by what the manual says"
getent passwd pam-mfa || useradd --system --no-create-home --home-dir /var/lib/pam-mfa --shell /usr/sbin/nologin pam-mfa
step "an account gets a record"
mfa-enroll --user root status
mfa-admin list
step "it stays while a PAM file asks for it"
echo 'auth required pam_mfa.so' >>/etc/pam.d/su
fails dpkg --remove pam-mfa >/tmp/said 2>&1
grep -q /etc/pam.d/su /tmp/said
mfa-enroll --version
step "it goes after that"
sed -i "\\|pam_mfa|d" /etc/pam.d/su
mkdir -p /var/lib/pam-mfa/users/alice
dpkg --purge pam-mfa >/tmp/said 2>&1
fails test -e /usr/sbin/mfad
step "people's devices stay, and it says so"
test -d /var/lib/pam-mfa/users/alice
grep -q 'pam-mfa: /var/lib/pam-mfa stays' /tmp/said
END
}

main "$@"
