#!/usr/bin/python3
"""Reads a store of pam-mfa, independently: written from docs/record-format.md alone.

    read_store.py [--key FILE] [--runtime DIR] [--decoy] [--recovery-code CODE].. STORE USER
    read_store.py --test-values docs/record-format.md

The first prints one account as JSON, seeds included, or says on standard error why the account must be refused and
exits with 1. The second compares the page's own test values with what is computed here.
The section numbers in the comments are those of the page.
"""

import argparse
import base64
import fcntl
import hashlib
import hmac
import ipaddress
import json
import os
import re
import stat
import struct
import sys
import time
import unicodedata

try:
    import tomllib
except ImportError:  # Python before 3.11
    import tomli as tomllib

import argon2.low_level
import nacl.bindings
import nacl.exceptions

SLOT_BYTES = 4096
CONTENT_BYTES = 1536
STATE_FILE_BYTES = 2 * SLOT_BYTES
TEXT_LIMIT = 32768
KEY_LIMIT = 128
LOCK_WAIT_SECONDS = 10
DECOY = "(decoy)"


class Refused(Exception):
    """The sentence says what a reader must refuse."""


class Absent(Refused):
    """What is not there, or in a folder that may not be opened."""


def main():
    parser = argparse.ArgumentParser(description="Reads a store of pam-mfa, independently.")
    parser.add_argument("--key", help="the key file [default: STORE/key]")
    parser.add_argument("--runtime", default="/run/pam-mfa", help="where states of a read-only store are")
    parser.add_argument("--decoy", action="store_true", help="read what USER is checked against while not enrolled")
    parser.add_argument("--recovery-code", action="append", default=[], help="say which code of the set this is")
    parser.add_argument("--test-values", metavar="PAGE", help="check the test values of the page, and read no store")
    parser.add_argument("store", nargs="?")
    parser.add_argument("user", nargs="?")
    options = parser.parse_args()
    if options.test_values:
        sys.exit(check_test_values(options.test_values))
    if options.store is None or options.user is None:
        parser.error("a store and a user, or --test-values")
    try:
        account = read_account(options)
    except Refused as why:
        print(f"refused: {why}", file=sys.stderr)
        sys.exit(1)
    json.dump(account, sys.stdout, ensure_ascii=False, indent=1)
    print()


def read_account(options):
    """Everything about one account, read under its lock."""
    check_user_name(options.user)
    root = open_folder(options.store)
    key = read_key(options.key or os.path.join(options.store, "key"))
    if options.decoy:
        user, place = DECOY, ("decoy", decoy(key, options.user))
    else:
        user, place = options.user, ("users", options.user)
    folder = locked_folder(open_folder(place[0], root), place[1])
    devices = parse_devices(read_text("devices.toml", folder, TEXT_LIMIT), user)
    if not devices["device"]:
        raise Refused("not enrolled: no device")
    state, slots = read_state(open_file("state", folder), user)
    elsewhere = read_elsewhere(options.runtime, key, place, user)
    if elsewhere is not None and elsewhere["revision"] >= state["revision"]:
        state = elsewhere
    shown = []
    for device in devices["device"]:
        entry = state["devices"].get(device["id"])
        if entry is None:
            raise Refused("a device has no entry in the state")
        seed = unseal(key, user, device)
        public = {name: value for name, value in device.items() if name != "sealed"}
        shown.append({**public, "secret": base32(seed), **entry})
    return {
        "user": user,
        "revision": state["revision"],
        "slots": slots,
        "devices": shown,
        "recovery": recovery(key, devices.get("recovery"), state["recovery"], options.recovery_code),
        "known_sources": state["sources"],
        "pending": read_pending(folder, user, key, devices),
    }


# Section 1: files


def check_user_name(name):
    if not 1 <= len(name.encode()) <= 255 or name in (".", "..") or name.startswith("-"):
        raise Refused("not a user name")
    if "/" in name or any(unicodedata.category(character) == "Cc" for character in name):
        raise Refused("not a user name")


def open_folder(path, parent=None):
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except (FileNotFoundError, PermissionError) as error:
        raise Absent(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    status = os.fstat(folder)
    check_owner(status, path)
    if status.st_mode & 0o022:
        raise Refused(f"{path} may be written by others")
    return folder


def open_file(path, folder=None):
    """The descriptor of a file that may be trusted."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError as error:
        raise Absent(f"{path}: {error.strerror}") from error
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        raise Refused(f"{path} is not a file")
    check_owner(status, path)
    if status.st_mode & 0o077:
        raise Refused(f"{path} is open to others")
    if status.st_nlink != 1:
        raise Refused(f"{path} has more than one name")
    return file


def check_owner(status, path):
    if status.st_uid not in (0, os.geteuid()):
        raise Refused(f"{path} belongs to another user")


def read_text(path, folder, limit):
    file = open_file(path, folder)
    if os.fstat(file).st_size > limit:
        raise Refused(f"{path} is too large")
    try:
        return os.pread(file, limit, 0).decode()
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8") from error


# Section 2: keys


def read_key(path):
    text = read_text(path, None, KEY_LIMIT)
    match = re.fullmatch(r"pam-mfa-key-1:([A-Z2-7]{52})\n", text)
    if match is None:
        raise Refused(f"{path} is not a key")
    key = base64.b32decode(match[1] + "====")
    if base32(key) != match[1]:
        raise Refused(f"{path} is not a key")
    return key


def tag(key, *parts):
    return hmac.new(key, b"".join(prefixed(part) for part in parts), hashlib.sha256).digest()


def prefixed(part):
    return struct.pack(">I", len(part)) + part


def source(key, user, remote_host):
    return tag(key, b"source", user.encode(), place(remote_host).encode())[:8].hex()


def decoy(key, name):
    return f"{tag(key, b'decoy', name.encode())[0] % 16:x}"


def place(remote_host):
    if remote_host is None:
        return "local"
    try:
        address = ipaddress.ip_address(remote_host)
    except ValueError:
        return f"host {remote_host}"
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.version == 4:
        return str(address)
    groups = struct.unpack(">4H", address.packed[:8])
    return ":".join(f"{group:x}" for group in groups) + "::/64"


def base32(data):
    return base64.b32encode(data).decode().rstrip("=")


# Section 3: devices.toml

INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def is_hex(length):
    return lambda value: isinstance(value, str) and re.fullmatch(f"[0-9a-f]{{{length}}}", value)


def is_integer(least, most=2**63 - 1):
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_one_of(*choices):
    return lambda value: value in choices


def is_device_name(value):
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= 40:
        return False
    return not INVISIBLE.search(value) and not any(unicodedata.category(c) == "Cc" for c in value.strip())


def is_sealed(value):
    return isinstance(value, str) and re.fullmatch("[a-z2-7]+", value)


DEVICE = {
    "id": is_hex(16),
    "name": is_device_name,
    "kind": is_one_of("totp", "hotp"),
    "algorithm": is_one_of("SHA1", "SHA256", "SHA512"),
    "digits": is_integer(6, 8),
    "status": is_one_of("active", "suspended", "assigned"),
    "enrolled_at": is_integer(0),
    "sealed": is_sealed,
}
DEVICE_OPTIONAL = {
    "serial": lambda value: isinstance(value, str) and re.fullmatch("[ -~]{1,64}", value),
    "expires_at": is_integer(0),
}
FACTOR = {"totp": {"period": is_integer(10, 120)}, "hotp": {"look_ahead": is_integer(1, 20)}}
RECOVERY = {
    "id": is_hex(16),
    "created_at": is_integer(0),
    "salt": is_hex(32),
    "memory_kib": is_integer(8, 65536),
    "passes": is_integer(1, 10),
    "hashes": lambda value: isinstance(value, list) and len(value) <= 10 and all(map(is_hex(64), value)),
}
RECOVERY_OPTIONAL = {"scratch": RECOVERY["hashes"]}
BYPASS = {
    "id": is_hex(16),
    "issued_at": is_integer(0),
    "until": is_integer(0),
    "reason": lambda value: isinstance(value, str),
    "by": lambda value: isinstance(value, str),
    "code": lambda value: isinstance(value, dict),
}
CHANGE = {
    "number": is_integer(0),
    "at": is_integer(0),
    "what": is_one_of(
        *"enrolled assigned migrated renamed suspended resumed resynced removed replaced recovery-codes scratch-codes"
        " bypass-issued bypass-cancelled unlocked repaired".split()
    ),
    "name": lambda value: isinstance(value, str) and "\t" not in value and "\n" not in value,
    "by": lambda value: isinstance(value, str) and len(value) <= 120 and "\t" not in value,
}
CHANGE_OPTIONAL = {"device": is_hex(16)}
FILE = {"format": is_integer(1, 1), "user": lambda value: isinstance(value, str)}
FILE_OPTIONAL = {
    "device": lambda value: isinstance(value, list),
    "recovery": lambda value: isinstance(value, dict),
    "bypass": lambda value: isinstance(value, dict),
    "change": lambda value: isinstance(value, list),
}


def parse_devices(text, user):
    try:
        file = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused("not TOML") from error
    check_table(file, FILE, FILE_OPTIONAL)
    if file["user"] != user:
        raise Refused("another account's file")
    devices = file.setdefault("device", [])
    for device in devices:
        kind = device.get("kind") if isinstance(device, dict) else None
        check_table(device, {**DEVICE, **FACTOR.get(kind, {})}, DEVICE_OPTIONAL)
        device["name"] = device["name"].strip()
    if len(devices) > 8:
        raise Refused("more than 8 devices")
    if len({device["id"] for device in devices}) < len(devices):
        raise Refused("an id twice")
    if "recovery" in file:
        check_table(file["recovery"], RECOVERY, RECOVERY_OPTIONAL)
    if "bypass" in file:
        check_table(file["bypass"], BYPASS)
        code = file["bypass"]["code"]
        check_table(code, RECOVERY)
        if len(code["hashes"]) != 1:
            raise Refused("a bypass code is one code")
        alike = ("salt", "memory_kib", "passes")
        if "recovery" in file and any(code[key] != file["recovery"][key] for key in alike):
            raise Refused("a bypass code hashed unlike the recovery codes")
    for change in file.get("change", []):
        check_table(change, CHANGE, CHANGE_OPTIONAL)
    return file


def check_table(table, rules, optional=None):
    if not isinstance(table, dict):
        raise Refused("not a table")
    rules = {**rules, **{key: rule for key, rule in (optional or {}).items() if key in table}}
    if set(table) != set(rules):
        raise Refused(f"keys unknown or missing: {', '.join(sorted(set(table) ^ set(rules)))}")
    for key, is_good in rules.items():
        if not is_good(table[key]):
            raise Refused(f"{key} is out of range")


# Section 4: the seal


def binding(user, device):
    factor = device["period"] if device["kind"] == "totp" else device["look_ahead"]
    return b"".join(
        prefixed(part)
        for part in (
            b"pam-mfa seed 1",
            user.encode(),
            bytes.fromhex(device["id"]),
            device["kind"].encode(),
            device["algorithm"].encode(),
            bytes([device["digits"], factor]),
        )
    )


def unseal(key, user, device):
    text = device["sealed"].upper()
    try:
        data = base64.b32decode(text + "=" * (-len(text) % 8))
        nonce, ciphertext_and_tag = data[:24], data[24:]
        return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            ciphertext_and_tag, binding(user, device), nonce, tag(key, b"seeds")
        )
    except (ValueError, nacl.exceptions.CryptoError) as error:
        raise Refused("a seal does not open") from error


# Section 5: recovery codes


def recovery(key, table, state, typed_codes):
    if table is None:
        return None
    spent = state["spent"] if state["set"] == table["id"] else 0
    count = len(table["hashes"])
    numbers = [number_of(key, table, code) for code in typed_codes]
    return {
        "id": table["id"],
        "left": sum(1 for number in range(count) if not spent >> number & 1),
        "codes": [
            {"number": number, "spent": number is not None and bool(spent >> number & 1)} for number in numbers
        ],
        "failures": [state["failures"], state["stranger_failures"]],
    }


def number_of(key, table, typed):
    digest = recovery_hash(key, bytes.fromhex(table["salt"]), table["memory_kib"], table["passes"], typed).hex()
    return table["hashes"].index(digest) if digest in table["hashes"] else None


def recovery_hash(key, salt, memory_kib, passes, typed):
    letters = re.sub("[- ]", "", typed).upper().translate(str.maketrans("018", "OIB")).encode()
    library = argon2.low_level
    out = library.ffi.new("uint8_t[]", 32)
    keep = [library.ffi.new("uint8_t[]", data) for data in (letters, salt, tag(key, b"recovery codes"))]
    context = library.ffi.new(
        "argon2_context *",
        {
            "out": out,
            "outlen": 32,
            "pwd": keep[0],
            "pwdlen": len(letters),
            "salt": keep[1],
            "saltlen": len(salt),
            "secret": keep[2],
            "secretlen": 32,
            "t_cost": passes,
            "m_cost": memory_kib,
            "lanes": 1,
            "threads": 1,
            "version": 0x13,
            "allocate_cbk": library.ffi.NULL,
            "free_cbk": library.ffi.NULL,
            "flags": 0,
        },
    )
    result = library.core(context, library.Type.ID.value)
    if result != 0:
        raise Refused(f"argon2: {library.error_to_str(result)}")
    return bytes(library.ffi.buffer(out, 32))


# Section 6: state


def read_state(file, user):
    """The state that holds, and what was found in either slot."""
    if os.fstat(file).st_size != STATE_FILE_BYTES:
        raise Refused("the state has not 8192 bytes")
    found = []
    for number in (0, 1):
        content = os.pread(file, CONTENT_BYTES, number * SLOT_BYTES)
        whole = is_whole(content, user)
        sequence = struct.unpack_from("<Q", content, 8)[0] if whole else None
        found.append((whole and sequence % 2 == number, sequence, content))
    slots = [{"counts": counts, "sequence": sequence} for counts, sequence, _ in found]
    best = max((slot for slot in found if slot[0]), key=lambda slot: slot[1], default=None)
    if best is None:
        raise Refused("no slot of the state counts")
    return parse_state(best[2]), slots


def is_whole(content, user):
    checksum = hashlib.sha256(user.encode() + b"\0" + content[:1504]).digest()
    if content[:8] != b"pammfa-1" or content[1504:] != checksum:
        return False
    identifiers = [content[at : at + 8] for at in range(32, 32 + 56 * content[24], 56)]
    return len(set(identifiers)) == len(identifiers)


def parse_state(content):
    (revision,) = struct.unpack_from("<Q", content, 16)
    entries, sources = content[24], content[25]
    if entries > 16 or sources > 8:
        raise Refused("more entries than a slot holds")
    devices = {}
    for at in range(32, 32 + 56 * entries, 56):
        floor, has_floor, disabled, drift, closed, offset = struct.unpack_from("<QBBbBi", content, at + 8)
        devices[content[at : at + 8].hex()] = {
            "floor": floor if has_floor == 1 else None,
            "drift": drift,
            "offset": offset,
            "disabled": disabled == 1,
            "closed_to_strangers": closed == 1,
            "failures": parse_failures(content, at + 24),
            "stranger_failures": parse_failures(content, at + 40),
        }
    at = 32 + 56 * entries
    known = [content[start : start + 8].hex() for start in range(at, at + 8 * sources, 8)]
    at += 8 * sources
    spent, has_set, has_bypass, spent_scratch = struct.unpack_from("<HBBH", content, at + 8)
    return {
        "revision": revision,
        "devices": devices,
        "sources": known,
        "recovery": {
            "set": content[at : at + 8].hex() if has_set == 1 else None,
            "spent": spent,
            "spent_scratch": spent_scratch,
            "bypass_used": content[at + 48 : at + 56].hex() if has_bypass == 1 else None,
            "failures": parse_failures(content, at + 16),
            "stranger_failures": parse_failures(content, at + 32),
        },
    }


def parse_failures(content, at):
    last, count = struct.unpack_from("<QI", content, at)
    return {"last": last, "count": count}


# Section 7: an enrollment that waits


def read_pending(folder, user, key, devices):
    try:
        text = read_text("pending.toml", folder, TEXT_LIMIT)
    except Absent:
        return None
    try:
        (device,) = parse_devices(text, user)["device"]
    except (Refused, ValueError):
        return None
    waits = 0 <= int(time.time()) - device["enrolled_at"] <= 900
    if not waits or device["id"] in {bound["id"] for bound in devices["device"]}:
        return None
    return {"id": device["id"], "name": device["name"], "secret": base32(unseal(key, user, device))}


# Section 8: states of a store that can't be written


def read_elsewhere(runtime, key, place, user):
    folder = None
    try:
        for name in (runtime, tag(key, b"runtime folder")[:8].hex(), *place):
            folder = open_folder(name, folder)
        file = open_file("state", folder)
    except Absent:
        return None
    return read_state(file, user)[0]


# Section 9: the lock


def locked_folder(parent, name):
    while True:
        folder = open_folder(name, parent)
        lock(folder)
        here, there = os.fstat(folder), os.stat(name, dir_fd=parent, follow_symlinks=False)
        if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            return folder
        os.close(folder)


def lock(folder):
    started = time.monotonic()
    while True:
        try:
            return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - started > LOCK_WAIT_SECONDS:
                raise Refused("the account is locked by another process") from None
            time.sleep(0.003)


# Section 11: test values


def check_test_values(page):
    """Compares each value in the page's last table with what it must be; 1 if one differs, else 0."""
    with open(page, encoding="utf-8") as file:
        section = file.read().partition("## 11. Test values")[2]
    shown = dict(re.findall(r"^\| ([^|]+?) \| `([^`]+)` \|$", section, re.MULTILINE))
    expected = test_values()
    wrong = [name for name in {**expected, **shown} if shown.get(name) != expected.get(name)]
    for name in wrong:
        print(f"{page}: {name}: {shown.get(name)} on the page, {expected.get(name)} computed", file=sys.stderr)
    return 1 if wrong else 0


def test_values():
    key = bytes(range(32))
    nonce = bytes(range(0x40, 0x58))
    device = {"id": "0102030405060708", "kind": "totp", "algorithm": "SHA1", "digits": 6, "period": 30}
    token = {"kind": "hotp", "algorithm": "SHA512", "digits": 8, "look_ahead": 5, "id": device["id"]}
    home = source(key, "alice", "192.0.2.1")
    sealed = nonce + nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
        b"12345678901234567890", binding("alice", device), nonce, tag(key, b"seeds")
    )
    entry = struct.pack("<8sQBBbB4x16x16x", bytes.fromhex(device["id"]), 1000, 1, 0, -1, 1)
    content = struct.pack("<8sQQBB6x", b"pammfa-1", 3, 5, 1, 1) + entry + bytes.fromhex(home)
    content = content.ljust(1504, b"\0")
    return {
        "key file": f"pam-mfa-key-1:{base32(key)}",
        "seal key": tag(key, b"seeds").hex(),
        "pepper": tag(key, b"recovery codes").hex(),
        "runtime id": tag(key, b"runtime folder")[:8].hex(),
        "source of 192.0.2.1": home,
        "source of 2001:db8::1": source(key, "alice", "2001:db8::1"),
        "source of a local login": source(key, "alice", None),
        "decoy of alice": decoy(key, "alice"),
        "associated data": binding("alice", device).hex(),
        "the same, hotp SHA512 8 digits look-ahead 5": binding("alice", token).hex(),
        "sealed": base32(sealed).lower(),
        "recovery hash": recovery_hash(key, bytes([7]) * 16, 19456, 2, "ABCD-EFGH-IJKL-MNOP").hex(),
        "state, bytes 0 to 95": content[:96].hex(),
        "state, checksum": hashlib.sha256(b"alice\0" + content).hexdigest(),
    }


if __name__ == "__main__":
    main()
