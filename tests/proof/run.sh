#!/usr/bin/env bash
# The proof kit: builds what is on trial, installs the peers, runs all trials. Options go to the program: see --help. With --as-tested
# as the first word, pam_mfa alone, as the other tests have built it, in a quick run.
source "$(dirname "$0")/../../docker/lib.sh"
cd "$repository"
if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi

main() {
    local profile=release options=()
    if [ "${1:-}" = --as-tested ]; then
        shift
        profile=debug options=(--quick --module pam_mfa)
    else
        install_peers
    fi
    say "building"
    if [ "$profile" = release ]; then cargo build --locked --release -p pam-mfa -p mfa-enroll -p mfa-admin; fi
    if [ "$profile" = debug ]; then cargo build --locked -p pam-mfa -p mfa-enroll -p mfa-admin; fi
    cargo build --locked -p mfa-pam-tests -p mfa-proof
    local artifacts=$target_folder/proof/artifacts
    mkdir -p "$artifacts"
    ln -sf "$target_folder/$profile"/{libpam_mfa.so,mfa-enroll,mfa-admin} "$target_folder/debug/pam-application" "$artifacts/"
    say "trials"
    # Mounts of its own: none is left behind, however it ends.
    as_root env MFA_ARTIFACTS="$artifacts" unshare --mount --propagation private \
        "$target_folder/debug/mfa-proof" --output "$target_folder/proof" "${options[@]}" "$@"
}

install_peers() {
    local missing=() package
    for package in libpam-google-authenticator libpam-oath; do
        # shellcheck disable=SC2016 # dpkg-query's own variable.
        if [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} -gt 0 ]; then install_packages "the proof kit" "${missing[@]}"; fi
}

main "$@"
