#!/usr/bin/env bash
# Every check that is no test: `lint.sh` runs them all and says at the end how each one ended, `lint.sh CHECK..` runs some.
# `lint.sh --list` names them. What a check needs and can't find is a failure.
source "$(dirname "$0")/../docker/lib.sh"
cd "$repository"

checks=(format clippy clippy-panic-for-tests doc dependencies advisories assurance planted shell man forbidden module-tree module-binary)
python=${PYTHON:-/usr/bin/python3}
if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi

main() {
    if [ "${1:-}" = --list ]; then
        printf '%s\n' "${checks[@]}"
        return
    fi
    if [ $# -eq 0 ]; then set -- "${checks[@]}"; fi
    # One stream, so that what was found stands below the name of the check.
    exec 2>&1
    local check results=() failed=no
    for check in "$@"; do
        [[ " ${checks[*]} " = *" $check "* ]] || fail "there is no check $check" "scripts/lint.sh --list names them"
        run "$check"
    done
    printf '%s\n' "${results[@]}"
    [ "$failed" = no ] || fail "lint found something" "the lines above say what; one check alone: scripts/lint.sh CHECK"
}

# Each check in a process of its own, where `fail` ends that check alone.
run() {
    local check=$1 begin status=0
    say "$check"
    begin=$(date +%s)
    ("check_${check//-/_}") || status=$?
    case $status in
        0) results+=("ok           $check ($(seconds_since "$begin") s)") ;;
        "$not_checked") results+=("NOT CHECKED  $check: see above") ;;
        *)
            results+=("FAILED       $check ($(seconds_since "$begin") s)")
            failed=yes
            ;;
    esac
}

# The status of a check that could not be made, which is not the same as one that found nothing.
not_checked=75

check_format() { cargo fmt --all --check; }

check_clippy() { cargo clippy --quiet --locked --workspace --all-targets -- -D warnings; }

check_clippy_panic_for_tests() {
    cargo clippy --quiet --locked --package pam-mfa --all-targets --features panic-for-tests -- -D warnings
}

check_doc() { RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --workspace --no-deps; }

check_dependencies() {
    tests_of test_dependencies.py && "$python" -B scripts/dependencies.py || return 1
    if has_cargo_deny; then cargo deny --offline check licenses bans sources; fi
}

# Needs cargo-deny and the RustSec database, from the network. Without either nothing was checked, and that is said.
check_advisories() {
    if ! has_cargo_deny; then
        echo "cargo-deny is not installed: nobody has looked for security advisories about the dependencies"
        echo "hint: cargo install cargo-deny --locked"
        return "$not_checked"
    fi
    local output status=0
    output=$(cargo deny check advisories 2>&1) || status=$?
    printf '%s\n' "$output"
    if [ "$status" != 0 ] && grep -q 'failed to fetch advisory database' <<<"$output"; then
        echo "the RustSec database can't be reached: nobody has looked for security advisories about the dependencies"
        return "$not_checked"
    fi
    return "$status"
}

has_cargo_deny() { command -v cargo-deny >/dev/null; }

# What docs/assurance.md names has to be there.
check_assurance() { tests_of test_assurance.py && "$python" -B scripts/assurance.py; }

# Every bug of `make proof-mutants` can still be planted where its list says.
check_planted() { "$python" -B tests/proof/mutants/run.py --check; }

# The tests of a check that is a program of its own.
tests_of() { "$python" -B -m unittest discover --quiet --start-directory scripts --pattern "$1"; }

check_shell() {
    needs shellcheck
    local scripts
    mapfile -t scripts < <(tracked | while read -r file; do if is_shell_script "$file"; then printf '%s\n' "$file"; fi; done)
    [ ${#scripts[@]} -gt 0 ] || fail "no shell script found"
    printf '%s\n' "${scripts[@]}"
    shellcheck --external-sources --source-path=SCRIPTDIR "${scripts[@]}"
}

is_shell_script() {
    case $1 in
        *.sh) return 0 ;;
        *) head --bytes=64 "$1" | head --lines=1 | tr -d '\0' | grep -qE '^#!.*[/ ](ba|da)?sh( |$)' ;;
    esac
}

check_man() {
    needs mandoc
    local pages
    mapfile -t pages < <(tracked 'packaging/man/*.[158]')
    [ ${#pages[@]} -gt 0 ] || fail "there is no manual page in packaging/man"
    printf '%s\n' "${pages[@]}"
    mandoc -T lint -W warning "${pages[@]}"
}

# What must not be in a file that others get: a path of the machine it was written on, and work left undone.
check_forbidden() {
    local found=no
    refuse_lines "a path of this machine" --perl-regexp \
        -e "$path_begins\\Q$repository\\E/" -e "$path_begins\\Q$target_folder\\E/" || found=yes
    refuse_lines "a path into somebody's home" --extended-regexp -e '/(root|home/[^/ ]+)/\.(cargo|rustup|local|pyenv)/' || found=yes
    refuse_lines "a path that is no system's" --perl-regexp -e "$(foreign_path)" || found=yes
    refuse_lines "unfinished, or a test that is skipped" --extended-regexp \
        -e '\b(TO[D]O|FIX[M]E|XX[X])\b' -e '\b(todo|unimplemented)[!]' -e '#\[[i]gnore' || found=yes
    [ "$found" = no ]
}

# What stands before a slash that begins an absolute path: not a part of a longer path, an address or a pattern.
path_begins='(?<![\w.\]/}<>*?)~$-])'

# An absolute path whose first folder is in no Linux system (hier(7)).
foreign_path() {
    local known='bin|boot|dev|etc|home|lib|lib64|media|mnt|nonexistent|opt|proc|root|run|sbin|srv|sys|tmp|usr|var'
    printf '%s' "$path_begins/(?!($known)/)[A-Za-z][\\w-]*/"
}

# Prints what it found, and fails.
refuse_lines() {
    local what=$1
    shift
    if git grep --untracked --line-number -I "$@" -- . ':!Cargo.lock' ':(exclude,glob)**/.gitignore' ':!LICENSE*'; then
        echo "error: $what, in the lines above" >&2
        return 1
    fi
}

check_module_tree() { cargo tree --locked --package pam-mfa --edges normal; }

# 1 MiB.
module_limit=1048576

# A login loads this: nothing but libpam and the C library comes with it, and it shows nothing but PAM's hooks.
check_module_binary() {
    needs readelf
    cargo build --quiet --release --locked --package pam-mfa || return 1
    local module=$target_folder/release/libpam_mfa.so needed exported expected
    needed=$(readelf --dynamic --wide "$module" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
    printf 'needs:   %s\n' "$(tr '\n' ' ' <<<"$needed")"
    exported=$(readelf --dyn-syms --wide "$module" |
        awk '$5 ~ /GLOBAL|WEAK/ && $7 != "UND" { sub(/@.*/, "", $8); print $8 }' | sort)
    printf 'exports: %s\n' "$(tr '\n' ' ' <<<"$exported")"
    printf 'bytes:   %s\n' "$(stat --format=%s "$module")"
    [ "$(stat --format=%s "$module")" -le "$module_limit" ] ||
        fail "the module has more than $module_limit bytes" "a login loads all of them: see what came in with cargo tree and nm --size-sort"
    if grep -vE '^(libpam\.so\.0|libc\.so\.6|ld-linux.*\.so\.[0-9])$' <<<"$needed"; then
        fail "the module needs a library that a login must not load"
    fi
    grep -qxF libpam.so.0 <<<"$needed" || fail "the module does not name libpam, so a host must have it loaded already"
    expected=$(printf 'pam_sm_%s\n' acct_mgmt authenticate chauthtok close_session open_session setcred)
    [ "$exported" = "$expected" ] || fail "the module must export the six hooks of PAM and nothing else"
}

# Also what is not committed yet, so that it is found before.
tracked() { git ls-files --cached --others --exclude-standard --deduplicate -- "$@"; }

needs() { command -v "$1" >/dev/null || fail "$1 is not installed" "scripts/setup.sh installs what is needed"; }

main "$@"
