#!/usr/bin/env bash
# Builds what the images hold (the module, mfa-enroll, mfa-admin, mfad) so that it runs on the releases named (default:
# bookworm trixie), into target/docker/artifacts. With --panic-build first, also the module that can be told to panic.
# A host whose C library is newer than the oldest release's builds in a container. PAM_MFA_BUILD=container does so anyway.
source "$(dirname "$0")/lib.sh"

main() {
    local panic_build=no
    if [ "${1:-}" = --panic-build ]; then
        panic_build=yes
        shift
    fi
    if [ $# -eq 0 ]; then set -- bookworm trixie; fi
    find_cargo

    local build=build_on_host
    if [ "${PAM_MFA_BUILD:-}" = container ] || host_is_newer_than "$@"; then
        build=build_in_container
        prepare_builder
    else
        prepare_host
    fi

    # The folder is an image's context: nothing of an earlier build may stay in it.
    rm -rf "$artifacts_folder"
    mkdir -p "$artifacts_folder"
    build_release "$build"
    if [ "$panic_build" = yes ]; then build_panicking "$build"; fi
}

build_release() {
    local build=$1 folder=$target_folder
    if [ "$build" = build_in_container ]; then folder=$target_folder/docker/build; fi
    say "building pam_mfa.so, mfa-enroll, mfa-admin and mfad"
    "$build" "$folder" -p pam-mfa -p mfa-enroll -p mfa-admin -p mfad
    cp "$folder/release/libpam_mfa.so" "$artifacts_folder/pam_mfa.so"
    cp "$folder/release/mfa-enroll" "$folder/release/mfa-admin" "$folder/release/mfad" "$artifacts_folder/"
}

# A folder of its own: the feature must never find its way into a release build.
build_panicking() {
    local build=$1 folder=$target_folder/docker/panic-build
    say "building the module that can be told to panic (for one test)"
    "$build" "$folder" -p pam-mfa --features panic-for-tests
    cp "$folder/release/libpam_mfa.so" "$artifacts_folder/pam_mfa_panic.so"
}

# A program runs on its builder's C library and any newer one.
host_is_newer_than() {
    local release host oldest=""
    for release in "$@"; do
        case $release in
            bookworm) oldest=2.36 ;;
            trixie) oldest=${oldest:-2.41} ;;
            *) fail "no such release: $release" "bookworm and trixie are known" ;;
        esac
    done
    host=$(getconf GNU_LIBC_VERSION | cut -d ' ' -f 2)
    [ "$host" != "$oldest" ] && [ "$(printf '%s\n' "$host" "$oldest" | sort --version-sort | tail -n 1)" = "$host" ]
}

find_cargo() {
    # A root shell or a CI job often lacks it in PATH.
    if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi
    command -v cargo >/dev/null || fail "cargo is not installed" "install Rust with rustup, see the README"
}

prepare_host() {
    local packages=()
    command -v cc >/dev/null || packages+=(gcc libc6-dev)
    if [ ${#packages[@]} -gt 0 ] || ! echo 'int main(void) { return 0; }' | cc -x c - -lpam -o /dev/null 2>/dev/null; then
        packages+=(libpam0g-dev)
    fi
    if [ ${#packages[@]} -gt 0 ]; then install_packages "linking the module" "${packages[@]}"; fi
}

build_on_host() {
    local folder=$1
    shift
    (cd "$repository" && CARGO_TARGET_DIR=$folder cargo build --release "$@" </dev/null)
}

prepare_builder() {
    local sysroot
    sysroot=$(rustc --print sysroot)
    [ "$sysroot" != /usr ] || fail "this Rust is the distribution's own and can't be lent to the builder container" \
        "install Rust with rustup, see the README"
    say "this system's C library is newer than the oldest image's: building in a Debian 12 container"
    "$repository/docker/base-images.sh" bookworm
    quietly engine build --network=host --tag pam-mfa-builder "$repository/docker/builder" ||
        fail "the builder image could not be made" "see the lines above"
    (cd "$repository" && cargo fetch </dev/null)
}

build_in_container() {
    local folder=$1 sysroot cargo_home=${CARGO_HOME:-$HOME/.cargo}
    shift
    sysroot=$(rustc --print sysroot)
    mkdir -p "$folder"
    # As the caller, so that what is built belongs to the caller; without a network, as the crates are here.
    engine run --rm --network none --label pam-mfa-builder --user "$(id -u):$(id -g)" \
        --volume "$sysroot:$sysroot:ro" --volume "$cargo_home:$cargo_home" \
        --volume "$repository:$repository" --volume "$folder:$folder" --workdir "$repository" \
        --env "CARGO_HOME=$cargo_home" --env "CARGO_TARGET_DIR=$folder" --env "PATH=$sysroot/bin:/usr/bin:/bin" \
        pam-mfa-builder cargo build --release --offline "$@"
}

main "$@"
