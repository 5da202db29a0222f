#!/usr/bin/env bash
# What the scripts of this folder share: speaking, failing with a cure, root, and which docker to call. Sourced, never run.
# shellcheck disable=SC2034 # What is set here is used by those who source it.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# Kept apart from target/, so that `cargo clean` does not make us forget an engine that we started.
state_folder=$repository/.state
target_folder=$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-$repository/target}")
artifacts_folder=$target_folder/docker/artifacts

say() { printf '==> %s\n' "$*" >&2; }

# fail WHAT [CURE]
fail() {
    printf 'error: %s\n' "$1" >&2
    if [ $# -gt 1 ]; then printf 'hint: %s\n' "$2" >&2; fi
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root: $*" "run it as root, or install sudo"
    fi
}

# install_packages WHY PACKAGE... (as root; only where the package manager is apt)
install_packages() {
    local why=$1
    shift
    command -v apt-get >/dev/null ||
        fail "$why needs $*, and there is no apt-get here" "install that with this system's package manager and try again"
    say "installing $* ($why)"
    quietly apt_get_install "$@" ||
        fail "apt-get could not install $*" "see the lines above; is there a way to the package mirror?"
}

apt_get_install() {
    as_root apt-get update &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
}

# Runs a command whose output matters only if it fails; then the end of it is shown.
quietly() {
    local log status=0
    log=$(mktemp)
    ("$@") </dev/null >"$log" 2>&1 || status=$?
    if [ "$status" != 0 ]; then tail -n 30 "$log" >&2; fi
    rm -f "$log"
    return "$status"
}

# How to call docker here. An engine that answers only to root is called through sudo; DOCKER names another command.
docker_command() {
    if [ -n "${DOCKER:-}" ]; then
        printf '%s\n' "$DOCKER"
    elif ! docker info >/dev/null 2>&1 && [ "$(id -u)" != 0 ] && sudo -n docker info >/dev/null 2>&1; then
        printf 'sudo docker\n'
    else
        printf 'docker\n'
    fi
}

# shellcheck disable=SC2046 # "sudo docker" is meant to be two words.
engine() { $(docker_command) "$@"; }

seconds_since() { printf '%s\n' "$(($(date +%s) - $1))"; }
