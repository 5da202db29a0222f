#!/usr/bin/env bash
# A store made by the real programs is read by read_store.py, which knows docs/record-format.md and none of our code.
# Seeds, floors, slots and recovery codes must be what enrollment printed, and what the page says must be refused, both refuse.
# MFA_ARTIFACTS names the folder of a built mfa-enroll; without it, it is built.
source "$(dirname "$0")/../../docker/lib.sh"

here=$repository/tests/record-format
python=${PYTHON:-/usr/bin/python3}
user='CORP\zoë'

main() {
    check_tools
    find_programs
    scratch=$(mktemp --directory --suffix=.pam-mfa-records)
    trap 'rm -rf "$scratch"' EXIT
    store=$scratch/store
    mkdir --mode=0700 "$store"

    the_page_agrees_with_itself
    devices_are_read_as_they_were_enrolled
    recovery_codes_are_found
    an_enrollment_that_waits_shows_the_same_key
    a_removed_device_is_gone
    the_decoys_are_accounts
    a_crash_leaves_the_account_before_or_after
    what_the_page_refuses_both_refuse
    what_only_a_login_would_notice_the_reader_notices
    echo "record format: the page and the programs agree"
}

check_tools() {
    local tool
    for tool in oathtool jq "$python"; do
        command -v "$tool" >/dev/null || fail "$tool is not installed" "scripts/setup.sh installs what is needed"
    done
    "$python" -c 'import argon2.low_level, nacl.bindings' 2>/dev/null ||
        fail "$python lacks python3-nacl or python3-argon2" "scripts/setup.sh installs what is needed"
}

find_programs() {
    local folder=${MFA_ARTIFACTS:-}
    if [ -z "$folder" ]; then
        (cd "$repository" && cargo build --quiet --locked --package mfa-enroll </dev/null)
        folder=$target_folder/debug
    fi
    mfa_enroll=$folder/mfa-enroll
    [ -x "$mfa_enroll" ] || fail "$mfa_enroll is missing" "unset MFA_ARTIFACTS, and it is built"
}

the_page_agrees_with_itself() {
    "$python" -B "$here/read_store.py" --test-values "$repository/docs/record-format.md" ||
        fail "the test values of docs/record-format.md are not what its rules give"
    ok "the page's test values are what its rules give"
}

devices_are_read_as_they_were_enrolled() {
    enroll phone SHA1 6 30
    cp --archive "$store" "$scratch/one-device"
    enroll 'tokén "x"' SHA256 8 60
    enroll watch SHA512 7 120
    read_account
    local number name
    for number in 0 1 2; do
        name=$(field "$number" .enrolled.device)
        same "$name: secret" "$(field "$number" .enrolled.secret)" "$(account ".devices[$number].secret")"
        same "$name: floor" "$(field "$number" .floor)" "$(account ".devices[$number].floor")"
        # A step that begins while the codes are typed is a drift, and on a slow machine it may be more than one.
        case $(account ".devices[$number].drift") in
            0 | -[1-8]) ;;
            *) fail "$name: the drift is $(account ".devices[$number].drift")" ;;
        esac
        same "$name: profile" "$(field "$number" '.enrolled | [.device, .algorithm, .digits, .period] | tojson')" \
            "$(account ".devices[$number] | [.name, .algorithm, .digits, .period] | tojson")"
        same "$name: id" "$(status ".devices[$number].id")" "$(account ".devices[$number].id")"
    done
    ok "three seeds, floors and profiles are what enrollment printed"
    same "slots" '[{"counts":true,"sequence":2},{"counts":true,"sequence":1}]' "$(account '.slots | tojson')"
    ok "both slots have their checksum, and the numbers 2 and 1"
}

# As people type them: in any case, without dashes, a zero for an O.
recovery_codes_are_found() {
    local codes code typed=()
    codes=$(enrollment recovery-codes --yes --json </dev/null | jq --raw-output '.recovery_codes[]')
    for code in $codes; do
        code=${code,,}
        typed+=(--recovery-code "$(tr 'oib' '018' <<<"${code//-/}")")
    done
    read_account "${typed[@]}" --recovery-code AAAA-AAAA-AAAA-AAAA
    same "recovery codes" '[0,1,2,3,4,5,6,7,8,9,null]' "$(account '[.recovery.codes[].number] | tojson')"
    same "spent recovery codes" 0 "$(account '[.recovery.codes[] | select(.spent)] | length')"
    same "recovery codes left" "$(status .recovery_codes_left)" "$(account .recovery.left)"
    ok "ten recovery codes hash to what is stored, in their order, none spent"
}

an_enrollment_that_waits_shows_the_same_key() {
    local shown
    # No codes: the program ends with a sentence about that, which is not looked at here.
    shown=$(enrollment add --name tablet --json </dev/null 2>"$scratch/why" | head --lines=1 | jq --raw-output .secret || true)
    read_account
    same "waiting key" "$shown" "$(account .pending.secret)"
    same "waiting device" tablet "$(account .pending.name)"
    same "devices meanwhile" 3 "$(account '.devices | length')"
    ok "a key that waits for its codes is in pending.toml and nowhere else"
}

a_removed_device_is_gone() {
    cp --archive "$store" "$scratch/before"
    enrollment remove watch --yes </dev/null >/dev/null
    read_account
    same "devices left" '["phone","tokén \"x\""]' "$(account '[.devices[].name] | tojson')"
    same "recovery codes after a removal" 10 "$(account .recovery.left)"
    rm -r "$store"
    mv "$scratch/before" "$store"
    ok "a removed device is gone, and its neighbours are not"
}

# Sixty names, checked against sixteen decoys.
the_decoys_are_accounts() {
    local number seeds
    same "decoys" "0 1 2 3 4 5 6 7 8 9 a b c d e f" "$(cd "$store/decoy" && echo *)"
    for number in {1..60}; do
        user=nobody$number read_account --decoy
        same "decoy" '["decoy","totp","SHA1",6,30,0,null]' \
            "$(account '.devices[0] | [.name, .kind, .algorithm, .digits, .period, .enrolled_at, .floor] | tojson')"
        account '.devices[0].secret' >>"$scratch/decoys"
    done
    seeds=$(sort --unique "$scratch/decoys" | wc --lines)
    [ "$seeds" -ge 10 ] || fail "sixty names found only $seeds decoys"
    ok "the decoys are what the page says, and names are spread over them"
}

# The second enrollment, stopped at each place where it could be.
a_crash_leaves_the_account_before_or_after() {
    local copy=$scratch/crashed account
    rm -rf "$copy"
    cp --archive "$scratch/one-device" "$copy"
    store=$copy enroll tablet SHA1 6 30
    account=users/$user
    cp "$copy/$account/devices.toml" "$scratch/two-devices.toml"

    cp "$scratch/one-device/$account/devices.toml" "$copy/$account/devices.toml"
    both_accept "$copy" '["phone"]'
    damage_slot "$copy/$account/state" 1
    both_accept "$copy" '["phone"]'
    ok "killed before devices.toml is replaced, or while a slot is written: the account is as before"

    cp "$scratch/two-devices.toml" "$copy/$account/devices.toml"
    both_refuse "$copy" "a device without its entry in the state"
    ok "a device without its entry is refused"

    cp --archive "$scratch/one-device/$account/state" "$copy/$account/state"
    cp "$scratch/one-device/$account/devices.toml" "$copy/$account/devices.toml"
    copy_slot "$copy/$account/state" 0 1
    both_accept "$copy" '["phone"]'
    damage_slot "$copy/$account/state" 0
    both_refuse "$copy" "a slot in the other one's place"
    ok "a slot copied into the other one's place does not count"
}

what_the_page_refuses_both_refuse() {
    local account=users/$user
    local devices=$account/devices.toml state=$account/state refusals=0
    refused "another format" sed --in-place 's/^format = 1/format = 2/' "$devices"
    refused "another account's file" sed --in-place 's/^user = .*/user = "bob"/' "$devices"
    refused "an unknown key" sed --in-place 's/^format = 1/&\nsurplus = 1/' "$devices"
    refused "an unknown key of a device" sed --in-place 's/^digits = 6/&\nsurplus = 1/' "$devices"
    refused "a missing key" sed --in-place '/^salt/d' "$devices"
    refused "five digits" sed --in-place 's/^digits = 6/digits = 5/' "$devices"
    refused "a period of 121 seconds" sed --in-place 's/^period = 120/period = 121/' "$devices"
    refused "a totp device with a look-ahead" sed --in-place 's/^period = 30/look_ahead = 5/' "$devices"
    refused "another kind" sed --in-place 's/^kind = "totp"/kind = "ocra"/' "$devices"
    refused "an identifier in capitals" sed --in-place 's/^id = .*/\U&/; s/^ID/id/' "$devices"
    refused "an identifier twice" duplicate_first_device "$devices"
    refused "more than 64 MiB for a recovery code" sed --in-place 's/^memory_kib = .*/memory_kib = 65537/' "$devices"
    refused "eleven recovery codes" sed --in-place "s/^hashes = \\[/&\"$(printf '0%.0s' {1..64})\", /" "$devices"
    refused "half a file" truncate --size=300 "$devices"
    refused "a file of 40 kB" pad "$devices"
    refused "a file that others may read" chmod 0640 "$devices"
    refused "a second name" ln "$devices" "$account/other"
    refused "a symbolic link" make_link "$devices"
    refused "no devices.toml" rm "$devices"
    refused "a folder that others may write to" chmod 0770 "$account"
    refused "no state" rm "$state"
    refused "a state that is too short" truncate --size=8191 "$state"
    refused "a state that is too long" truncate --size=8193 "$state"
    refused "another account's state" cp decoy/0/state "$state"
    refused "both slots damaged" damage_slot "$state" 0 1
    refused "no key" rm key
    refused "a key of another form" sed --in-place 's/-1:/-2:/' key
    refused "a key without its end of line" truncate --size=-1 key
    ok "$refusals kinds of damage are refused by the program and by the reader"
}

# What `status` need not look at.
what_only_a_login_would_notice_the_reader_notices() {
    local devices="users/$user/devices.toml"
    reader_refuses "another period than was sealed" sed --in-place 's/^period = 30/period = 31/' "$devices"
    reader_refuses "two seeds exchanged" exchange_seals "$devices"
    reader_refuses "another store's key" foreign_key key
    ok "a seal opens for its own device, parameters and key alone"
}

# enroll NAME ALGORITHM DIGITS PERIOD: what the program printed goes to enrolled.N, with the floor that must follow.
enroll() {
    local line codes now number=0
    now=$(date +%s)
    coproc ENROLLMENT { enrollment add --json --name "$1" --algorithm "$2" --digits "$3" --period "$4"; }
    local pid=$ENROLLMENT_PID from=${ENROLLMENT[0]} to=${ENROLLMENT[1]}
    read -r line <&"$from" || fail "mfa-enroll add printed nothing"
    mapfile -t codes < <(oathtool --base32 --totp="$2" --digits="$3" --time-step-size="$4s" --window=1 \
        --now="@$((now - 2 * $4))" "$(jq --raw-output .secret <<<"$line")")
    printf '%s\n' "${codes[@]}" >&"$to"
    read -r result <&"$from" || fail "mfa-enroll add gave no result"
    wait "$pid" || fail "mfa-enroll add: $result"
    same "result of enrolling $1" enrolled "$(jq --raw-output .result <<<"$result")"
    while [ -e "$store.enrolled.$number" ]; do number=$((number + 1)); done
    jq --null-input --argjson enrolled "$line" --argjson floor $((now / $4 - 1)) '$ARGS.named' >"$store.enrolled.$number"
}

enrollment() { "$mfa_enroll" --store "$store" --user "$user" "$@"; }

read_account() { "$python" -B "$here/read_store.py" "$@" "$store" "$user" >"$scratch/account"; }

account() { jq --raw-output "$1" "$scratch/account"; }

status() { enrollment status --json </dev/null | jq --raw-output "$1"; }

field() { jq --raw-output "$2" "$store.enrolled.$1"; }

both_accept() {
    local names
    store=$1 read_account || fail "the reader refuses what it must accept"
    names=$(account '[.devices[].name] | tojson')
    same "devices by the reader" "$2" "$names"
    same "devices by the program" "$2" "$(store=$1 status '[.devices[].name] | tojson')"
}

both_refuse() {
    if store=$1 read_account 2>"$scratch/why"; then fail "the reader accepts: $2"; fi
    grep -q '^refused: ' "$scratch/why" || fail "the reader failed at: $2" "$(cat "$scratch/why")"
    # An account that is not enrolled has a status, without devices.
    if [ "$(store=$1 status '.devices | length' 2>"$scratch/why" || true)" -gt 0 ] 2>/dev/null; then
        fail "the program accepts: $2"
    fi
    if grep -qi panic "$scratch/why"; then fail "the program panicked at: $2" "$(cat "$scratch/why")"; fi
}

# refused WHAT COMMAND..: does that in a copy of the store, which must change it.
refused() {
    damaged_copy "${@:2}"
    both_refuse "$scratch/damaged" "$1"
    refusals=$((refusals + 1))
}

reader_refuses() {
    damaged_copy "${@:2}"
    if store=$scratch/damaged read_account 2>"$scratch/why"; then fail "the reader accepts: $1"; fi
    grep -q '^refused: a seal does not open' "$scratch/why" || fail "the reader failed at: $1" "$(cat "$scratch/why")"
}

damaged_copy() {
    rm -rf "$scratch/damaged"
    cp --archive "$store" "$scratch/damaged"
    (cd "$scratch/damaged" && "$@")
    if [ "$(fingerprint "$store")" = "$(fingerprint "$scratch/damaged")" ]; then fail "$* has changed nothing"; fi
}

# Names, modes, types and contents.
fingerprint() { (cd "$1" && find . -printf '%p %m %y %n\n' -type f -exec sha256sum {} + | sort); }

damage_slot() {
    local slot
    for slot in "${@:2}"; do
        printf 'x' | dd of="$1" bs=1 seek=$((slot * 4096 + 20)) conv=notrunc status=none
    done
}

copy_slot() { dd if="$1" of="$1" bs=4096 count=1 skip="$2" seek="$3" conv=notrunc status=none; }

duplicate_first_device() {
    local block
    block=$(sed -n '/^\[\[device\]\]/,/^sealed/p' "$1" | sed '/^sealed/q')
    sed --in-place '/^\[recovery\]/,$d' "$1"
    printf '%s\n' "$block" >>"$1"
}

exchange_seals() {
    local seals
    mapfile -t seals < <(grep '^sealed' "$1")
    sed --in-place "s/^${seals[0]}\$/first/; s/^${seals[1]}\$/${seals[0]}/; s/^first\$/${seals[1]}/" "$1"
}

foreign_key() {
    local letters
    letters=$(head --bytes=32 /dev/zero | base32 --wrap=0)
    chmod u+w "$1"
    printf 'pam-mfa-key-1:%s\n' "${letters%%=*}" >"$1"
}

pad() { head --bytes=40000 /dev/zero | tr '\0' '\n' >>"$1"; }

make_link() {
    mv "$1" "$1.real"
    ln --symbolic devices.toml.real "$1"
}

same() { [ "$2" = "$3" ] || fail "$1: $2 was expected, $3 was read"; }

ok() { printf 'ok   %s\n' "$1"; }

main "$@"
