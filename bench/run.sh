#!/usr/bin/env bash
# Times logins: bench/run.sh [--users N] [--disk FOLDER] [--tmpfs FOLDER] [--most-users N] [--save FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."

bench/setup.sh
echo "bench: building" >&2
target=${CARGO_TARGET_DIR:-target}
cargo build --release --locked -p pam-mfa -p mfa-bench
exec "$target/release/mfa-bench" "$@"
