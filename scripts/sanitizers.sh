#!/usr/bin/env bash
# Logins through the real libpam with AddressSanitizer in the module and in the program around it: sanitizers.sh [TEST..]
# Needs a nightly compiler. (valgrind watches the module as it is in `make test-fast`, tests/pam/tests/login/valgrind.rs.)
source "$(dirname "$0")/../docker/lib.sh"
cd "$repository"
if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi

target=$(uname -m)-unknown-linux-gnu
folder=$target_folder/sanitizers
# Accepted, refused, damaged, killed, hostile: all but what needs little memory, which AddressSanitizer has not.
default_tests=(answers:: damage:: first_pass:: one_time::a_ options:: prompts:: throttle::a_ users:: window::)

main() {
    cargo +nightly --version >/dev/null 2>&1 || fail "there is no nightly compiler" "rustup toolchain install nightly"
    say "building the module and the program around it with AddressSanitizer"
    # The runtime is in the program alone; it shows it to the module.
    RUSTFLAGS="-Zsanitizer=address -Clink-arg=-rdynamic" cargo +nightly build --locked --target "$target" --target-dir "$folder" \
        -p pam-mfa -p mfa-pam-tests
    say "building the tests and mfa-enroll as usual"
    cargo build --locked -p mfa-enroll
    local artifacts=$folder/artifacts
    mkdir -p "$artifacts"
    ln -sf "$folder/$target/debug/"{libpam_mfa.so,pam-application,pam-held-application} "$target_folder/debug/mfa-enroll" "$artifacts/"
    # Not `grep -q`: it would end before nm has, which then fails.
    nm "$artifacts/libpam_mfa.so" | grep __asan_report >/dev/null || fail "the module has no AddressSanitizer in it"
    if [ $# -eq 0 ]; then set -- "${default_tests[@]}"; fi
    say "logins"
    MFA_ARTIFACTS=$artifacts cargo test --locked -p mfa-pam-tests --test login -- "$@" </dev/null
}

main "$@"
