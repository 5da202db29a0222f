#!/usr/bin/env bash
# The demo: a Debian host in a container, a person who is enrolled on it, logs in over ssh with password and code, and
# becomes root with sudo and the next code. `demo.sh` shows it and leaves the host running; `demo.sh clean` removes it.
source "$(dirname "$0")/lib.sh"

container=pam-mfa-demo
release=trixie

main() {
    case "${1:-show}" in
        show) show ;;
        clean) clean ;;
        *)
            echo "usage: demo.sh [show|clean]" >&2
            exit 2
            ;;
    esac
}

show() {
    local begin
    begin=$(date +%s)
    "$repository/docker/engine.sh" start
    "$repository/docker/base-images.sh" "$release"
    "$repository/docker/artifacts.sh" "$release"
    "$repository/docker/images.sh" demo "$release"

    remove_container
    say "starting the host"
    trap 'say "that was not the end of the demo: removing its host"; remove_container' EXIT
    engine run --detach --pull never --name "$container" --label pam-mfa-demo --hostname demo-host \
        --publish 127.0.0.1::22 "pam-mfa-demo:$release" >/dev/null
    local password
    password=$(engine exec "$container" /usr/local/lib/pam-mfa-demo/prepare)
    say "set up in $(seconds_since "$begin") s; here it comes"

    engine exec --env "DEMO_PASSWORD=$password" --env "DEMO_LIVE=$(is_terminal)" --env TERM=xterm-256color \
        "$container" /usr/local/lib/pam-mfa-demo/show
    trap - EXIT
    explain "$password"
}

is_terminal() { if [ -t 1 ]; then echo yes; else echo no; fi; }

explain() {
    local password=$1 port docker ssh
    port=$(engine port "$container" 22/tcp | head -n 1)
    port=${port##*:}
    docker=$(docker_command)
    # The host key is new with every demo: nothing that the own known_hosts should remember.
    ssh="ssh -o NoHostAuthenticationForLocalhost=yes"
    if command -v ssh >/dev/null; then ssh="$ssh -p $port"; else ssh="$docker exec -it $container $ssh"; fi
    cat <<TEXT

Now by hand
  Log in:                  $ssh demo@127.0.0.1
  with the password:       $password
  and the code of now:     $docker exec $container demo-code
  (or of your own phone, if you scan the QR code of demo's device:)

$(engine exec "$container" cat /run/pam-mfa-demo/qr)

  Enroll your own phone for a second account, named you, whose password is the same:
                           $docker exec -it $container mfa-enroll --user you add
  then log in with it:     $ssh you@127.0.0.1
  What was logged:         $docker exec $container cat /var/log/messages
  Remove all this:         make demo-clean
TEXT
}

clean() {
    if ! engine info >/dev/null 2>&1; then
        say "no container engine answers: nothing to remove"
        return
    fi
    remove_container
    say "the demo host is removed; its images stay, for the next time (to remove them too: $(docker_command) rmi pam-mfa-demo:$release)"
    if [ -e "$state_folder/dockerd.pid" ]; then "$repository/docker/engine.sh" stop; fi
}

remove_container() {
    if engine container inspect "$container" >/dev/null 2>&1; then
        engine rm --force --volumes "$container" >/dev/null
    fi
}

main "$@"
