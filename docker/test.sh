#!/usr/bin/env bash
# The container tier of the tests, with all that it needs: engine, base images, artifacts, images, `cargo test`.
# Arguments go to the test program: `docker/test.sh sudo` runs the tests with sudo in their names.
source "$(dirname "$0")/lib.sh"

main() {
    local begin
    begin=$(date +%s)
    had_pid_file=no
    if [ -e "$state_folder/dockerd.pid" ]; then had_pid_file=yes; fi
    # A label of this run: what is left behind when it is interrupted is ours to remove, and nothing else.
    export PAM_MFA_TEST_RUN=$$
    trap clean_up EXIT

    "$repository/docker/engine.sh" start
    "$repository/docker/base-images.sh" bookworm trixie
    "$repository/docker/artifacts.sh" --panic-build bookworm trixie
    "$repository/docker/package.sh" bookworm trixie
    "$repository/docker/images.sh" test bookworm trixie
    DOCKER=$(docker_command)
    export DOCKER
    # Logins mostly wait, for sshd or for a process to start: more of them than processors is faster.
    export RUST_TEST_THREADS=${RUST_TEST_THREADS:-4}
    say "logins on Debian 12 and Debian 13, $RUST_TEST_THREADS tests at a time"
    (cd "$repository" && cargo test -p mfa-ssh-tests --lib --test sentences -- "$@" </dev/null)
    say "container tests passed ($(seconds_since "$begin") s in all)"
}

clean_up() {
    local left
    left=$(engine ps --all --quiet --filter "label=pam-mfa-test=$PAM_MFA_TEST_RUN" 2>/dev/null || true)
    # shellcheck disable=SC2086 # One word per container.
    if [ -n "$left" ]; then engine rm --force --volumes $left >/dev/null; fi
    if [ "$had_pid_file" = no ] && [ -e "$state_folder/dockerd.pid" ]; then "$repository/docker/engine.sh" stop; fi
}

main "$@"
