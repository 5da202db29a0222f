#!/usr/bin/env bash
# The tests that need neither root nor containers: next to the code, the programs, the module in the real libpam, the record format.
source "$(dirname "$0")/../docker/lib.sh"
cd "$repository"
if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi

main() {
    local begin
    begin=$(date +%s)
    say "building the programs and the module"
    cargo build --locked --workspace
    say "building the module that can be told to panic (for one test)"
    cargo build --locked -p pam-mfa --features panic-for-tests --target-dir "$target_folder/panic-for-tests"
    say "tests"
    cargo test --locked --workspace --exclude mfa-ssh-tests </dev/null
    say "the time of a refusal tells nobody who is enrolled (coarsely: make timing looks closer)"
    "$target_folder/debug/mfa-bench" --timing 100 --tolerance 30
    say "the record format, read by a second implementation"
    tests/record-format/run.sh
    say "tests passed ($(seconds_since "$begin") s)"
}

main "$@"
