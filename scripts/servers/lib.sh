# shellcheck shell=bash
# Shared by the scripts beside it, and by scripts/test and scripts/check: where things are kept, how they are fetched
# (once, whole or not at all, by one process at a time), and how a server is started, awaited and stopped.
# shellcheck disable=SC2034 # the versions are for the scripts that source this

# Versions, in one place. Debian's packages (redis, nginx, chromium, shellcheck) come in the distribution's version.
KAFKA_VERSION=4.3.1
LOG4J_VERSION=2.25.5
REGISTRY_VERSION=2.6.13.Final
MAVEN_DEPENDENCY_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

SERVERS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPO=$(cd "$SERVERS_DIR/../.." && pwd)
CACHE=${RTMN_CACHE:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/rtmn-bridge}
export REPO CACHE
PATH=$PATH:/usr/sbin # where Debian puts nginx

# How long a server may take to be ready, in seconds; generous, since CI machines are small and shared.
START_DEADLINE=${RTMN_START_DEADLINE:-120}
# How long a server may take to end after SIGTERM before it is killed.
STOP_DEADLINE=${RTMN_STOP_DEADLINE:-20}

note() { printf '%s\n' "$*" >&2; }
die() {
    note "error: $*"
    exit 1
}

# need COMMAND REMEDY
need() { command -v "$1" >/dev/null 2>&1 || die "'$1' is not installed; $2"; }

# Seconds since the machine started, with fractions: no clock change disturbs it.
now() { cut -d' ' -f1 /proc/uptime; }

# --- fetching -------------------------------------------------------------------------------------------------------

# with_lock NAME COMMAND…: one process at a time; the lock goes with the process, however it ends.
with_lock() {
    local name=$1 lock
    shift
    mkdir -p "$CACHE" || die "cannot create the cache folder '$CACHE'; set RTMN_CACHE to a folder that can be written"
    lock=$CACHE/.lock-$name
    (
        flock -w 1200 9 || die "waited 20 minutes for '$lock'; is another fetch hanging?"
        "$@"
    ) 9>"$lock"
}

# fetch_into FOLDER COMMAND…: runs COMMAND with a temporary folder as its last argument, then renames that folder to
# FOLDER. So FOLDER is there whole or not at all. Call it under a lock.
fetch_into() {
    local target=$1 temp
    shift
    [[ -d $target ]] && return 0
    mkdir -p "$(dirname "$target")"
    temp=$(mktemp -d "$target.part-XXXXXX")
    if "$@" "$temp"; then
        mv -T "$temp" "$target"
    else
        rm -rf "$temp"
        return 1
    fi
}

# apt_install PACKAGE…: installs Debian packages without starting any service.
apt_install() {
    local sudo=() policy=/usr/sbin/policy-rc.d
    command -v apt-get >/dev/null 2>&1 || die "cannot install $*: no apt-get here; install them by hand"
    if [[ $(id -u) -ne 0 ]]; then
        { command -v sudo && sudo -n true; } >/dev/null 2>&1 ||
            die "cannot install $* without root; run: sudo apt-get install --no-install-recommends $*"
        sudo=(sudo -n)
    fi
    note "installing $* (apt-get)"
    # A package's service must not come up: the tests start their own processes. This is Debian's switch for that.
    local policy_is_ours=
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
        "${sudo[@]}" chmod 755 "$policy"
        policy_is_ours=yes
    fi
    local status=0
    {
        "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=300 -qq update &&
            "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -qq -y install --no-install-recommends "$@"
    } >"$CACHE/apt.log" 2>&1 || status=$?
    [[ -z $policy_is_ours ]] || "${sudo[@]}" rm -f "$policy"
    if [[ $status -ne 0 ]]; then
        tail -n 20 "$CACHE/apt.log" >&2
        die "apt-get install $* failed (log: $CACHE/apt.log)"
    fi
}

# --- processes ------------------------------------------------------------------------------------------------------

# start_time PID: when the process started, in clock ticks; with the pid it names a process for good.
start_time() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # The second field is the command in parentheses and may hold spaces: count from after it.
    stat=${stat##*) }
    # A zombie is gone, though nobody has reaped it; but not while threads of it still hold its sockets.
    awk '{ if ($1 == "Z" && $18 <= 1) exit 1; print $20 }' <<<"$stat"
}

# running DIR: whether the server of DIR runs. DIR/pid holds "PID START_TIME", so that a pid that the kernel has given
# to another process meanwhile is never taken for ours, let alone killed.
running() {
    local pid started
    [[ -e $1/pid ]] && read -r pid started <"$1/pid" || return 1
    [[ -n $started && $(start_time "$pid") == "$started" ]]
}

pid_of() { cut -d' ' -f1 <"$1/pid"; }

# launch DIR COMMAND…: starts COMMAND in a session of its own (Ctrl-C in the terminal does not reach it), its output
# appended to DIR/out.log, and notes its pid.
launch() {
    local dir=$1 pid
    shift
    touch "$dir/out.log"
    wc -c <"$dir/out.log" >"$dir/log-offset"
    setsid "$@" </dev/null >>"$dir/out.log" 2>&1 9>&- &
    pid=$!
    echo "$pid $(start_time "$pid")" >"$dir/pid"
}

# log_since_start DIR: what the running server has logged.
log_since_start() { tail -c +"$(($(cat "$1/log-offset") + 1))" "$1/out.log"; }

# await_ready DIR WHAT COMMAND…: until COMMAND succeeds. Fails at once when the server has ended, and at the deadline.
await_ready() {
    local dir=$1 what=$2 end
    shift 2
    end=$((SECONDS + START_DEADLINE))
    until "$@" >/dev/null 2>&1; do
        if ! running "$dir"; then
            log_since_start "$dir" | tail -n 30 >&2
            die "$what ended while it was starting (log: $dir/out.log)"
        fi
        if ((SECONDS >= end)); then
            log_since_start "$dir" | tail -n 30 >&2
            kill_server "$dir"
            die "$what was not ready within ${START_DEADLINE} s (log: $dir/out.log; more time: RTMN_START_DEADLINE)"
        fi
        sleep 0.1
    done
}

# await_end DIR SECONDS: whether the server has ended by then.
await_end() {
    local end=$((SECONDS + $2))
    while running "$1"; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

kill_server() {
    running "$1" || return 0
    kill -KILL "$(pid_of "$1")" 2>/dev/null || true
    await_end "$1" 10 || die "process $(pid_of "$1") does not end although it was killed"
    rm -f "$1/pid"
}

# stop_server DIR: SIGTERM, then SIGKILL at the deadline. A paused process gets SIGCONT, or it would never see SIGTERM.
stop_server() {
    running "$1" || {
        rm -f "$1/pid"
        return 0
    }
    kill -TERM "$(pid_of "$1")" 2>/dev/null || true
    kill -CONT "$(pid_of "$1")" 2>/dev/null || true
    if ! await_end "$1" "$STOP_DEADLINE"; then
        note "warning: the server of '$1' did not end within ${STOP_DEADLINE} s of SIGTERM; killing it"
        kill_server "$1"
    fi
    rm -f "$1/pid"
}

# bury_with OWNER DIR: a watcher that ends the server of DIR and removes DIR once process OWNER is gone, however that
# ended. One watcher per DIR; it goes when DIR does.
bury_with() {
    local owner=$1 dir=$2 started
    started=$(start_time "$owner") || die "--owner $owner: no such process"
    mkdir "$dir/watched" 2>/dev/null || return 0
    setsid "$SERVERS_DIR/undertaker" "$owner" "$started" "$dir" </dev/null >/dev/null 2>&1 9>&- &
}

# port_open PORT: whether something accepts connections there.
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port: a port that nobody listens on, below the range that the kernel gives to outgoing connections, so that a
# server that is restarted finds its port free again.
free_port() {
    local port
    for _ in {1..200}; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        port_open "$port" || {
            echo "$port"
            return 0
        }
    done
    die "no free port between 20000 and 32000"
}

# --- the command line that all servers share ------------------------------------------------------------------------

# server_main NAME ARGS…: the calling script defines start_NAME (called with DIR and PORT once DIR exists and nothing
# runs in it; it launches the process and waits until it is ready) and usage.
server_main() {
    local name=$1 verb=${2:-}
    shift
    [[ $# -gt 0 ]] && shift
    local dir='' port='' owner=''
    JAVA_OPTS_EXTRA='' CONF='' SETTINGS=()
    while (($#)); do
        [[ $# -ge 2 || $1 == -h || $1 == --help ]] || die "$name: $1 needs a value"
        case $1 in
            --dir) dir=$2 ;;
            --port) port=$2 ;;
            --owner) owner=$2 ;;
            --java-opts) JAVA_OPTS_EXTRA=$2 ;;
            --conf) CONF=$2 ;;
            --set) SETTINGS+=("$2") ;;
            *) usage ;;
        esac
        shift 2
    done
    export JAVA_OPTS_EXTRA CONF
    case $verb in start | stop | restart | kill | pause | resume | status) ;; *) usage ;; esac
    [[ -n $dir ]] || die "$name $verb: --dir is missing"
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    [[ -z $owner ]] || bury_with "$owner" "$dir"
    case $verb in
        status)
            running "$dir" || {
                echo stopped
                exit 3
            }
            echo "running, pid $(pid_of "$dir"), port $(cat "$dir/port")"
            ;;
        stop) stop_server "$dir" ;;
        kill) kill_server "$dir" ;;
        pause | resume)
            running "$dir" || die "$name $verb: nothing runs in '$dir'"
            if [[ $verb == pause ]]; then kill -STOP "$(pid_of "$dir")"; else kill -CONT "$(pid_of "$dir")"; fi
            ;;
        restart | start)
            [[ $verb == start ]] || stop_server "$dir"
            if [[ -z $port ]]; then
                port=$(cat "$dir/port" 2>/dev/null) || port=$(free_port)
            fi
            if running "$dir"; then
                [[ $(cat "$dir/port") == "$port" ]] || die "$name: already running in '$dir' on port $(cat "$dir/port")"
                return 0
            fi
            ! port_open "$port" || die "$name: port $port is in use by another process"
            echo "$port" >"$dir/port"
            "start_$name" "$dir" "$port"
            ;;
    esac
}
