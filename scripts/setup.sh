#!/usr/bin/env bash
# Sees to what `make test`, `make test-fast` and `make lint` need on Debian or Ubuntu, as root or with sudo. Asks nothing,
# and does nothing where everything is there. Rust is not installed: that stays with whoever owns the account.
source "$(dirname "$0")/../docker/lib.sh"

main() {
    check_rust
    check_space
    local missing
    mapfile -t missing < <(missing_packages)
    if [ ${#missing[@]} -gt 0 ]; then install "building and testing" "${missing[@]}"; fi
    check_python
}

install() {
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        fail "missing here: ${*:2}" "as root: apt-get install ${*:2}"
    fi
    install_packages "$@"
}

packages() {
    # The module links libpam; readelf and nm look at what came of it.
    printf '%s\n' gcc libc6-dev libpam0g-dev libpam-modules binutils
    # Codes and QR codes by programs that are not ours, rsvg-convert for zbarimg to read an SVG; JSON in shell scripts.
    printf '%s\n' oathtool zbar-tools librsvg2-bin jq
    # Logins under a checker of memory (tests/pam), and their instructions (tests/instructions).
    printf '%s
' valgrind libc6-dbg
    # The independent reader of the records (tests/record-format), and the licence check.
    printf '%s\n' python3 python3-nacl python3-argon2
    # The proof kit cuts the power of a file system of its own (tests/proof).
    printf '%s\n' e2fsprogs mount util-linux
    # Lint.
    printf '%s\n' git shellcheck mandoc
}

missing_packages() {
    if ! command -v dpkg-query >/dev/null; then
        fail "this is neither Debian nor Ubuntu" "install what scripts/setup.sh lists with this system's package manager"
    fi
    local package
    for package in $(packages); do
        # shellcheck disable=SC2016 # dpkg-query's own variable.
        if [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
            printf '%s\n' "$package"
        fi
    done
}

check_rust() {
    local cure="install Rust for your own account, see https://rustup.rs, or update it: rustup update stable"
    # A root shell or a CI job often lacks it in PATH.
    if ! command -v cargo >/dev/null; then PATH=$HOME/.cargo/bin:$PATH; fi
    command -v cargo >/dev/null || fail "cargo is not installed" "$cure"
    local needed found
    needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$repository/Cargo.toml")
    [ -n "$needed" ] || fail "Cargo.toml names no rust-version"
    found=$(cargo --version | cut -d ' ' -f 2)
    if [ "$(printf '%s\n' "$needed" "${found%%-*}" | sort --version-sort | head -n 1)" != "$needed" ]; then
        fail "cargo is $found, and this needs $needed or newer" "$cure"
    fi
}

# A disk that is full in the middle shows in a hundred strange ways. A whole run of the tests builds 3 GiB.
check_space() {
    mkdir -p "$target_folder"
    check_space_of "$target_folder" 4
    check_space_of "${TMPDIR:-/tmp}" 1
}

check_space_of() {
    local folder=$1 needed=$2 free
    free=$(df --output=avail --block-size=1M "$folder" | tail -n 1 | tr -dc 0-9)
    [ "$free" -ge $((needed * 1024)) ] || fail "the disk of $folder has less than $needed GiB left" "building and testing needs them"
}

# Debian's packages belong to Debian's Python, which is not always the first one in PATH.
check_python() {
    if ! /usr/bin/python3 -c 'import tomllib' 2>/dev/null && ! /usr/bin/python3 -c 'import tomli' 2>/dev/null; then
        install "reading TOML with Python before 3.11" python3-tomli
    fi
    /usr/bin/python3 -c 'import argon2.low_level, nacl.bindings' ||
        fail "/usr/bin/python3 does not find python3-nacl and python3-argon2" "apt-get install --reinstall python3-nacl python3-argon2"
}

main "$@"
