#!/usr/bin/python3
"""Writes fuzz/store: the key and the secret files that the fuzz targets begin with. Needs nothing of the project's own code.

    fuzz/store.py

Everything is fixed, the nonces too, so that it writes the same bytes each time. The seeds and codes are known to everybody: they stand
below, and in fuzz/targets/src/reference.rs. Recovery codes are hashed with the least memory that a record may ask for (8 KiB), because a
fuzzer tries thousands a second.
"""

import base64
import hashlib
import pathlib
import sys

import nacl.bindings

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/record-format"))
sys.dont_write_bytecode = True
import read_store  # noqa: E402  (the second implementation of docs/record-format.md)

KEY = hashlib.sha256(b"the host key of the fuzz targets").digest()
SALT = bytes.fromhex("736f6d652073616c7420666f7220616c")
NOW = 1_800_000_000

ALICE = [
    ("0101010101010101", "phone", "totp", "SHA1", 6, 30, "active", b"12345678901234567890"),
    ("0202020202020202", "token", "hotp", "SHA1", 6, 5, "active", b"09876543210987654321"),
    ("0303030303030303", "long", "totp", "SHA256", 8, 60, "active", b"12345678901234567890123456789012"),
    ("0404040404040404", "spare", "totp", "SHA512", 7, 30, "suspended", b"spare" * 12 + b"spar"),
]
RECOVERY_CODES = ["AAAABBBBCCCCDDDD", "EEEEFFFFGGGGHHHH", "IIIIJJJJKKKKLLLL"]
SCRATCH_CODES = ["11112222", "33334444"]
BYPASS_CODE = "MMMMNNNNOOOOPPPP"


def main():
    write("key", f"pam-mfa-key-1:{read_store.base32(KEY)}\n")
    write("alice.toml", account("alice", ALICE, RECOVERY_CODES, SCRATCH_CODES, BYPASS_CODE))
    decoy = ("0505050505050505", "decoy", "totp", "SHA1", 6, 30, "active", b"nobody's seed, 20 by")
    write("decoy.toml", account("(decoy)", [decoy], [], [], None))


def write(name, text):
    path = HERE / "store" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def account(user, devices, recovery_codes, scratch_codes, bypass_code):
    lines = ["format = 1", f'user = "{user}"', ""]
    for identifier, name, kind, algorithm, digits, factor, status, seed in devices:
        device = {"id": identifier, "kind": kind, "algorithm": algorithm, "digits": digits}
        device["period" if kind == "totp" else "look_ahead"] = factor
        lines += [
            "[[device]]",
            f'id = "{identifier}"',
            f'name = "{name}"',
            f'kind = "{kind}"',
            f'algorithm = "{algorithm}"',
            f"digits = {digits}",
            f"{'period' if kind == 'totp' else 'look_ahead'} = {factor}",
            f'status = "{status}"',
            f"enrolled_at = {0 if user == '(decoy)' else NOW - 86400}",
            f'sealed = "{sealed(user, device, seed)}"',
            "",
        ]
    set_id = "0606060606060606"
    lines += ["[recovery]", *code_set(set_id, [recovery_hash(code) for code in recovery_codes])]
    if scratch_codes:
        hashes = [
            read_store.tag(KEY, b"scratch code", bytes.fromhex(set_id), code.encode()).hex() for code in scratch_codes
        ]
        lines.append(f"scratch = {quoted(hashes)}")
    if bypass_code:
        lines += [
            "",
            "[bypass]",
            'id = "0707070707070707"',
            f"issued_at = {NOW - 3600}",
            f"until = {NOW + 3600}",
            'reason = "phone lost"',
            'by = "root"',
            "",
            "[bypass.code]",
            *code_set("0707070707070707", [recovery_hash(bypass_code)]),
        ]
    if user != "(decoy)":
        lines += ["", "[[change]]", "number = 1", f"at = {NOW - 86400}", 'what = "enrolled"']
        lines += ['device = "0101010101010101"', 'name = "phone"', 'by = "root"']
    return "\n".join(lines) + "\n"


def code_set(identifier, hashes):
    return [
        f'id = "{identifier}"',
        f"created_at = {NOW - 86400}",
        f'salt = "{SALT.hex()}"',
        "memory_kib = 8",
        "passes = 1",
        f"hashes = {quoted(hashes)}",
    ]


def quoted(hashes):
    return "[" + ", ".join(f'"{digest}"' for digest in hashes) + "]"


def recovery_hash(code):
    return read_store.recovery_hash(KEY, SALT, 8, 1, code).hex()


def sealed(user, device, seed):
    nonce = hashlib.sha256(user.encode() + device["id"].encode()).digest()[:24]
    text = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        seed, read_store.binding(user, device), nonce, read_store.tag(KEY, b"seeds")
    )
    return base64.b32encode(nonce + text).decode().rstrip("=").lower()


main()
