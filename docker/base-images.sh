#!/usr/bin/env bash
# Sees to the base images debian:RELEASE-slim, for the releases named (default: bookworm trixie). Where they can't be
# pulled they are made from Debian's own packages.
source "$(dirname "$0")/lib.sh"

pull_timeout_seconds=45

main() {
    local missing=() release
    if [ $# -eq 0 ]; then set -- bookworm trixie; fi
    for release in "$@"; do
        if engine image inspect "debian:$release-slim" >/dev/null 2>&1; then
            say "base image debian:$release-slim is here"
        elif pulled "$release"; then
            say "base image debian:$release-slim is pulled"
        else
            missing+=("$release")
        fi
    done
    if [ ${#missing[@]} -gt 0 ]; then make_all "${missing[@]}"; fi
}

pulled() {
    say "base image debian:$1-slim: pulling"
    # One that can't be reached is no reason to wait for long, nor to stop.
    # shellcheck disable=SC2046 # "sudo docker" is meant to be two words.
    timeout "$pull_timeout_seconds" $(docker_command) pull --quiet "debian:$1-slim" </dev/null >/dev/null 2>&1
}

# Side by side: most of the time goes into unpacking, and there is more than one processor.
make_all() {
    say "can't be pulled here: ${*/#/debian:} - making it with debootstrap, about a minute"
    if ! command -v debootstrap >/dev/null && [ ! -x /usr/sbin/debootstrap ]; then
        install_packages "base images" debootstrap debian-archive-keyring
    fi
    scratch_folder=$(mktemp --directory --tmpdir=/var/tmp --suffix=.pam-mfa-base)
    trap 'as_root rm -rf --one-file-system "$scratch_folder"' EXIT
    local release makers=() failed=no
    for release in "$@"; do
        make_one "$release" &
        makers+=($!)
    done
    local maker
    for maker in "${makers[@]}"; do
        wait "$maker" || failed=yes
    done
    [ "$failed" = no ] || fail "not every base image could be made" "see the lines above"
}

make_one() {
    local release=$1 begin folder=$scratch_folder/$1 log=$scratch_folder/$1.log
    begin=$(date +%s)
    if ! as_root env PATH="$PATH:/usr/sbin:/sbin" \
        debootstrap --variant=minbase "$release" "$folder" </dev/null >"$log" 2>&1; then
        tail -n 15 "$log" "$folder/debootstrap/debootstrap.log" 2>/dev/null >&2 || true
        fail "debootstrap could not make Debian $release" "is there a way to the package mirror?"
    fi
    as_root tar --create --numeric-owner --directory "$folder" --one-file-system \
        --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' . |
        engine import --change 'CMD ["bash"]' --change 'LABEL pam-mfa.base=debootstrap' - "debian:$release-slim" >/dev/null
    say "base image debian:$release-slim is made ($(seconds_since "$begin") s)"
}

main "$@"
