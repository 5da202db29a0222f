#!/usr/bin/env bash
# The proof kit: builds what is on trial, installs the peers, runs all trials. Options go to the program: see --help.
source "$(dirname "$0")/../../docker/lib.sh"
cd "$repository"
if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi

main() {
    local missing=() package
    for package in oathtool libpam-google-authenticator libpam-oath e2fsprogs mount; do
        # shellcheck disable=SC2016 # dpkg-query's own variable.
        if [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            missing+=("$package")
        fi
    done
    if [ ${#missing[@]} -gt 0 ]; then install_packages "the proof kit" "${missing[@]}"; fi
    say "building"
    cargo build --locked --release -p pam-mfa -p mfa-enroll -p mfa-admin
    cargo build --locked -p mfa-pam-tests -p mfa-proof
    local artifacts=$target_folder/proof/artifacts
    mkdir -p "$artifacts"
    ln -sf "$target_folder"/release/{libpam_mfa.so,mfa-enroll,mfa-admin} "$target_folder/debug/pam-application" "$artifacts/"
    # Mounts of its own: none is left behind, however it ends.
    as_root env MFA_ARTIFACTS="$artifacts" unshare --mount --propagation private \
        "$target_folder/debug/mfa-proof" --output "$target_folder/proof" "$@"
}

main "$@"
