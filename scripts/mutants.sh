#!/usr/bin/env bash
# The changes of cargo-mutants on the code that decides a login. See scripts/mutants.py and docs/mutation.md.
source "$(dirname "$0")/../docker/lib.sh"
cd "$repository"
if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi

cargo mutants --help >/dev/null 2>&1 ||
    fail "cargo-mutants is not installed" "cargo install --locked cargo-mutants (tried with version 27)"
/usr/bin/python3 scripts/mutants.py "$target_folder" "$@"
