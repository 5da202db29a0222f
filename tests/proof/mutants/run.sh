#!/usr/bin/env bash
# Plants bugs in pam_mfa, one at a time, and has the proof kit look for them. Words choose some of them by name; --all-trials says
# every trial that sees one. An hour on two cores.
source "$(dirname "$0")/../../../docker/lib.sh"
cd "$repository"
if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi

say "building the proof kit"
cargo build --locked -p mfa-pam-tests -p mfa-proof
/usr/bin/python3 tests/proof/mutants/run.py --target "$target_folder" \
    --kit "$target_folder/debug/mfa-proof" --application "$target_folder/debug/pam-application" "$@"
