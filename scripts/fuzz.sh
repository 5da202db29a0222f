#!/usr/bin/env bash
# Runs the fuzz targets, one after the other: fuzz.sh [TARGET..]. FUZZ_SECONDS each (600), FUZZ_JOBS of them at once (1).
# What is found lies in fuzz/artifacts/TARGET, new inputs in fuzz/target/corpus/TARGET; the corpora of the repository stay as they are.
# `fuzz.sh --minimise [TARGET..]` takes what new inputs reach that the repository's do not into fuzz/corpus.
source "$(dirname "$0")/../docker/lib.sh"
cd "$repository"
if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi

seconds=${FUZZ_SECONDS:-600}
jobs=${FUZZ_JOBS:-1}
found_folder=${FUZZ_FOLDER:-fuzz/target}
# The longest input, in bytes, and the longest that is taken into the repository.
longest=8192
most_bytes=4096

main() {
    check_tools
    local targets work=fuzz_one
    if [ "${1:-}" = --minimise ]; then
        work=minimise_one
        shift
    fi
    if [ $# -gt 0 ]; then targets=("$@"); else mapfile -t targets < <(all_targets); fi
    local target
    for target in "${targets[@]}"; do
        [ -d "fuzz/corpus/$target" ] || fail "there is no target $target" "one of: $(all_targets | tr '\n' ' ')"
    done
    say "building the targets"
    cargo +nightly fuzz build --target-dir "$found_folder"
    mkdir -p "$found_folder/logs"
    local failed=0
    for target in "${targets[@]}"; do
        while [ "$(jobs -pr | wc -l)" -ge "$jobs" ]; do
            wait -n || failed=1
        done
        "$work" "$target" &
    done
    while [ -n "$(jobs -p)" ]; do
        wait -n || failed=1
    done
    [ "$failed" = 0 ] || fail "a target has found something" "see above, and fuzz/artifacts"
}

fuzz_one() {
    local target=$1 log=$found_folder/logs/$1.log status=0
    mkdir -p "$found_folder/corpus/$target"
    libfuzzer "$target" "$found_folder/corpus/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -print_final_stats=1 -timeout="$(patience "$target")" -rss_limit_mb=2048 \
        -max_len="$longest" \
        >"$log" 2>&1 || status=$?
    printf '%s: %s executions in %s s, %s edges, %s inputs, %s\n' "$target" \
        "$(statistic number_of_executed_units "$log")" "$seconds" \
        "$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d ' ' -f 2)" \
        "$(find "$found_folder/corpus/$target" -type f | wc -l)" \
        "$(if [ "$status" = 0 ]; then printf 'nothing found'; else printf 'FOUND SOMETHING: %s' "$log"; fi)"
    return "$status"
}

# libFuzzer's own way: of the new inputs, those that reach what the corpus of the repository does not, the smallest first.
minimise_one() {
    local target=$1 folder
    folder=$(mktemp -d)
    cp fuzz/corpus/"$target"/* "$folder"
    libfuzzer "$target" "$folder" "$found_folder/corpus/$target" -- -merge=1 -max_len="$longest" \
        >"$found_folder/logs/$target.minimise.log" 2>&1 || fail "$target can't be minimised"
    local file
    for file in "$folder"/*; do
        if [ ! -e "fuzz/corpus/$target/$(basename "$file")" ] && [ "$(stat --format=%s "$file")" -le "$most_bytes" ]; then
            cp "$file" "fuzz/corpus/$target/found-$(basename "$file" | cut -c 1-12)"
        fi
    done
    rm -rf "$folder"
    printf '%s: %s files in the corpus\n' "$target" "$(find "fuzz/corpus/$target" -type f | wc -l)"
}

libfuzzer() { timeout $((seconds + 600)) cargo +nightly fuzz run --target-dir "$found_folder" "$@"; }

# How many seconds an input may take. Logins move the wall clock, by which libFuzzer measures: there a hang ends by `timeout` alone.
patience() { if [ "$1" = authenticate ]; then printf 0; else printf 20; fi; }

statistic() { sed -n "s/^stat::$1: *//p" "$2"; }

all_targets() { find fuzz/fuzz_targets -name '*.rs' -printf '%f\n' | sed 's/\.rs$//' | sort; }

check_tools() {
    command -v cargo >/dev/null || fail "cargo is not installed" "see https://rustup.rs"
    cargo +nightly --version >/dev/null 2>&1 || fail "there is no nightly compiler" "rustup toolchain install nightly"
    cargo fuzz --version >/dev/null 2>&1 || fail "cargo-fuzz is not installed" "cargo install --locked cargo-fuzz"
}

main "$@"
