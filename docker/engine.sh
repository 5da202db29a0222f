#!/usr/bin/env bash
# Sees to a container engine: `engine.sh` uses the one that answers, or installs and starts one; `engine.sh stop` ends
# the one that this script started, and no other; `engine.sh command` prints how to call docker here.
source "$(dirname "$0")/lib.sh"

pid_file=$state_folder/dockerd.pid
log_file=$state_folder/dockerd.log
start_timeout_seconds=60

main() {
    case "${1:-start}" in
        start) start ;;
        stop) stop ;;
        command) docker_command ;;
        *)
            echo "usage: engine.sh [start|stop|command]" >&2
            exit 2
            ;;
    esac
}

start() {
    if answers; then
        say "container engine: docker $(engine version --format '{{.Server.Version}}') answers"
        return
    fi
    command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || install
    if ! answers; then
        if [ -d /run/systemd/system ]; then start_by_systemd; else start_ourselves; fi
    fi
    say "container engine: docker $(engine version --format '{{.Server.Version}}') is up"
}

answers() { command -v docker >/dev/null && engine info >/dev/null 2>&1; }

# Recommended packages are left out, so what the engine can't do without is named.
install() {
    local packages=(docker.io iptables ca-certificates)
    # Where docker.io has no client inside (Debian 13), the client is a package of its own.
    if [ -n "$(apt-cache search --names-only '^docker-cli$' 2>/dev/null)" ]; then packages+=(docker-cli); fi
    install_packages "a container engine" "${packages[@]}"
}

start_by_systemd() {
    say "starting docker through systemd"
    as_root systemctl start docker ||
        fail "systemd could not start docker" "see: journalctl -u docker -n 50"
    wait_for_answer "see: journalctl -u docker -n 50"
}

# Without systemd (a container, a CI job, a small VM) the engine runs in the background, its log in a file.
start_ourselves() {
    mkdir -p "$state_folder"
    say "starting dockerd in the background, its log in $log_file"
    # The shell in between writes the pid of dockerd itself and leaves, so that neither sudo nor a closed terminal matters.
    # shellcheck disable=SC2016 # $1 and $2 belong to the inner shell.
    as_root env PATH="$PATH:/usr/sbin:/sbin" bash -c \
        'setsid dockerd </dev/null >"$1" 2>&1 & echo $! >"$2"' start-dockerd "$log_file" "$pid_file"
    wait_for_answer "the whole log is in $log_file"
}

wait_for_answer() {
    local hint=$1 begin
    begin=$(date +%s)
    until answers; do
        if [ -e "$pid_file" ] && ! runs "$(cat "$pid_file")"; then
            give_up "dockerd ended as soon as it was started" "$hint"
        fi
        if [ "$(seconds_since "$begin")" -ge "$start_timeout_seconds" ]; then
            give_up "docker does not answer after $start_timeout_seconds seconds" "$hint"
        fi
        sleep 0.3
    done
}

give_up() {
    if [ -e "$log_file" ]; then tail -n 15 "$log_file" >&2; fi
    if [ -e "$pid_file" ]; then stop; fi
    fail "$@"
}

stop() {
    if [ ! -e "$pid_file" ]; then
        say "no container engine was started by this script: nothing to stop"
        return
    fi
    local pid
    pid=$(cat "$pid_file")
    if runs "$pid"; then
        say "stopping dockerd (process $pid)"
        # The shell's own kill: a small system has no other.
        # shellcheck disable=SC2016 # $1 belongs to the inner shell.
        as_root bash -c 'kill "$1"' stop-dockerd "$pid"
        local begin
        begin=$(date +%s)
        while runs "$pid"; do
            [ "$(seconds_since "$begin")" -lt 30 ] || fail "dockerd (process $pid) does not end" "see $log_file"
            sleep 0.2
        done
    fi
    rm -f "$pid_file"
}

# A pid of another program means that ours ended long ago and the number came round again. A zombie has ended too: where
# the first process is no init, as in many a CI container, nobody collects it.
runs() {
    local status
    status=$(cat "/proc/$1/status" 2>/dev/null) || return 1
    [[ $status == Name:*dockerd* && $status != *State:?Z* ]]
}

main "$@"
