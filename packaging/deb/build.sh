#!/usr/bin/env bash
# Builds a Debian package into target/deb, from what `make install` puts where. It enables nothing and changes no PAM file.
source "$(dirname "$0")/../../docker/lib.sh"
cd "$repository"

main() {
    command -v dpkg-deb >/dev/null || fail "dpkg-deb is not here" "a Debian package is built on Debian or Ubuntu"
    command -v dpkg-shlibdeps >/dev/null || install_packages "finding out what the programs need" dpkg-dev
    local version architecture root
    version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
    architecture=$(dpkg --print-architecture)
    root=$target_folder/deb/pam-mfa
    rm -rf "$root"
    mkdir -p "$root/DEBIAN"
    # /usr alone: both names of the folder are the same where /lib is a link into it.
    make --no-print-directory install "DESTDIR=$root" "PAMDIR=/usr/lib/$(uname -m)-linux-gnu/security" PAMSTACK='s|@STACK@|common|; s|@ACCOUNT@|account|'
    install -D -m 0644 LICENSE "$root/usr/share/doc/pam-mfa/copyright"
    install -m 0644 README.md SECURITY.md CHANGELOG.md "$root/usr/share/doc/pam-mfa/"
    find "$root/usr/share/man" -type f -exec gzip --best --no-name {} +
    echo /etc/pam.d/mfa-enroll >"$root/DEBIAN/conffiles"
    install -m 0755 packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm "$root/DEBIAN/"
    control "$version" "$architecture" "$root" >"$root/DEBIAN/control"
    dpkg-deb --root-owner-group --build "$root" "$target_folder/deb/pam-mfa_${version}_$architecture.deb"
}

control() {
    local version=$1 architecture=$2 root=$3
    cat <<END
Package: pam-mfa
Version: $version
Architecture: $architecture
Maintainer: The pam-mfa maintainers <pam-mfa@localhost>
Section: admin
Priority: optional
Installed-Size: $(du --summarize --block-size=1024 "$root/usr" | cut -f 1)
Depends: $(needs_of "$root")
Description: second factor for Linux logins: one-time codes after the password
 A PAM module that asks for a one-time code in sshd, sudo, su and every other
 PAM program, mfa-enroll to give people devices, mfa-admin for root, and mfad,
 by which people see to their own devices without root. Nothing asks for a
 code until a PAM file says so.
END
}

# The packages that hold the shared libraries which are linked.
needs_of() {
    local root=$1 folder
    # dpkg-shlibdeps wants a source package around it.
    folder=$(mktemp -d)
    mkdir "$folder/debian"
    printf 'Source: pam-mfa\n\nPackage: pam-mfa\nArchitecture: any\n' >"$folder/debian/control"
    (cd "$folder" && dpkg-shlibdeps -O "$root"/usr/bin/* "$root"/usr/sbin/* "$root"/usr/lib/*/security/pam_mfa.so 2>/dev/null) |
        sed -n 's/^shlibs:Depends=//p'
    rm -rf "$folder"
}

main "$@"
