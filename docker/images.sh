#!/usr/bin/env bash
# Builds the image pam-mfa-KIND:RELEASE, `images.sh test|demo RELEASE...` (default: test bookworm trixie), from the
# Dockerfile here and what artifacts.sh has built. PAM_MFA_IMAGES names another prefix than pam-mfa, so that two
# checkouts can use one engine.
source "$(dirname "$0")/lib.sh"

prefix=${PAM_MFA_IMAGES:-pam-mfa}

main() {
    local kind=${1:-test}
    if [ $# -gt 0 ]; then shift; fi
    if [ $# -eq 0 ]; then set -- bookworm trixie; fi
    [ -e "$artifacts_folder/pam_mfa.so" ] || fail "nothing is built yet" "run docker/artifacts.sh first"
    local release
    for release in "$@"; do build "$kind" "$release"; done
    # What earlier builds left without a name.
    engine image prune --force --filter label=pam-mfa-image >/dev/null
}

build() {
    local kind=$1 release=$2 begin
    begin=$(date +%s)
    say "image $prefix-$kind:$release: building"
    quietly build_from_one_context "$kind" "$release" ||
        fail "the image $prefix-$kind:$release could not be built" "see the lines above"
    say "image $prefix-$kind:$release: ready ($(seconds_since "$begin") s)"
}

# The context is put together on the way in; the engine's cache compares contents, not times.
build_from_one_context() {
    local kind=$1 release=$2 extra=()
    if [ "$release" = trixie ]; then extra=(sudo-rs); fi
    tar --create --owner=0 --group=0 --directory "$repository/docker" Dockerfile image \
        --directory "$(dirname "$artifacts_folder")" artifacts |
        engine build --network=host --target "$kind" --tag "$prefix-$kind:$release" --label pam-mfa-image \
            --build-arg "RELEASE=$release" --build-arg "EXTRA_PACKAGES=${extra[*]}" -
}

main "$@"
