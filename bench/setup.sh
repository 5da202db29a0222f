#!/bin/sh
# Installs the modules that the bench compares with, the independent generator of codes, and what counts system calls. Debian and Ubuntu.
set -eu

need="libpam-google-authenticator libpam-oath libpam-modules oathtool strace"
missing=""
for package in $need; do
    if ! dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed'; then
        missing="$missing $package"
    fi
done
if [ -z "$missing" ]; then
    exit 0
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo"
fi
echo "bench: installing$missing"
# shellcheck disable=SC2086 # the words are package names
$as_root env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -q && apt-get install -q -y "$@"' sh $missing
