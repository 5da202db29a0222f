#!/usr/bin/env bash
# Guards the speed of a login where no clock is exact enough: the instructions that the module of a release carries out for one accepted and
# one refused login, by callgrind, must not be more than expected.json says, and a little. `run.sh --update` writes them down anew.
source "$(dirname "$0")/../../docker/lib.sh"

here=$repository/tests/instructions
expected=$here/expected.json
# Of the expected number: what the length of a path and the order of a heap make.
percent=5
logins=3

main() {
    needs valgrind
    needs jq
    if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi
    (cd "$repository" && cargo build --quiet --release --locked -p pam-mfa && cargo build --quiet --locked -p mfa-bench) </dev/null
    scratch=$(mktemp --directory --suffix=.pam-mfa-instructions)
    trap 'rm -rf "$scratch"' EXIT

    local accepted refused
    accepted=$(instructions accepted)
    refused=$(instructions refused)
    if [ "${1:-}" = --update ]; then
        jq --null-input --argjson accepted "$accepted" --argjson refused "$refused" '$ARGS.named' >"$expected"
        say "written: $accepted accepted, $refused refused"
        return
    fi
    compare accepted "$accepted"
    compare refused "$refused"
}

# instructions KIND: of one login, in the module alone. The program around it and libc are not ours, and differ from host to host.
instructions() {
    local kind=$1 folder=$scratch/$1 count
    mkdir --mode=0700 "$folder"
    MFA_ARTIFACTS=$target_folder/release valgrind --quiet --tool=callgrind --toggle-collect=pam_sm_authenticate \
        --compress-strings=no --compress-pos=no --callgrind-out-file="$folder/counts" \
        "$target_folder/debug/mfa-bench" login "$folder" --module mfa --kind "$kind" </dev/null >&2 ||
        fail "the $kind login failed under valgrind"
    # A line after calls= is what the called function cost, which stands under its own name too.
    count=$(awk '/^ob=/ { ours = /pam_mfa\.so$/ }
        /^calls=/ { getline; next }
        /^[0-9]/ { if (ours) sum += $2 }
        END { print sum + 0 }' "$folder/counts")
    [ "$count" -gt 0 ] || fail "callgrind has counted nothing in pam_mfa.so"
    printf '%s\n' $((count / logins))
}

compare() {
    local kind=$1 count=$2 known
    known=$(jq --exit-status ".$kind" "$expected") || fail "$expected says nothing of $kind logins" "tests/instructions/run.sh --update"
    if [ "$count" -gt $((known + known * percent / 100)) ]; then
        fail "$kind: a login takes $count instructions in the module, and $known were expected: $(((count - known) * 100 / known))% more" \
            "make it cheaper; or, if it is worth that or the compiler is another one: tests/instructions/run.sh --update, and say why in the commit"
    fi
    if [ "$count" -lt $((known - known * percent / 100)) ]; then
        fail "$kind: a login takes $count instructions in the module, and $known were expected: so much less that the guard would sleep" \
            "tests/instructions/run.sh --update"
    fi
    printf 'ok   %s: %s instructions in the module, %s expected\n' "$kind" "$count" "$known"
}

needs() { command -v "$1" >/dev/null || fail "$1 is not installed" "scripts/setup.sh installs what is needed"; }

main "$@"
