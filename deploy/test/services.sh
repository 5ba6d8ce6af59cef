#!/usr/bin/env bash
# Starts PostgreSQL and Redis for the tests, on free ports of the loopback, and stops them.
#
#   eval "$(deploy/test/services.sh up DIR)"     starts both; sets OLAKE_TEST_POSTGRES_URL and OLAKE_TEST_REDIS_URL
#   deploy/test/services.sh down DIR             stops both, and removes what they wrote
#
# The programs come from Debian's packages postgresql and redis-server; no service of the system is touched. PostgreSQL
# refuses to run as root, so root runs it as the user postgres (or nobody). Both are set up for speed, not to keep
# anything: fsync is off, unless OLAKE_TEST_DURABLE=1 (the bench measures with it). "up" on a folder whose services run
# already prints the same lines again. OLAKE_TEST_POSTGRES_OPTIONS are further options of PostgreSQL, as "-c work_mem=8MB".
# OLAKE_TEST_LISTEN is another address than 127.0.0.1: then every host that reaches it is let in without a password
# (deploy/cluster, where only the cluster's pods do).
set -euo pipefail

listen=${OLAKE_TEST_LISTEN:-127.0.0.1}
# runuser is there, which not every PATH has.
PATH=$PATH:/usr/sbin:/sbin

fail() {
    echo "services.sh: $*" >&2
    exit 1
}

usage="usage: services.sh up|down DIR"
[ $# -eq 2 ] || fail "$usage"
action=$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)

# The folder of PostgreSQL's programs, the newest version that is installed.
postgres_bin() {
    local newest
    newest=$(ls -d /usr/lib/postgresql/*/bin/ 2>/dev/null | sort -t/ -k5 -n | tail -n 1 || true)
    if [ -n "$newest" ] && [ -x "${newest}initdb" ]; then
        echo "${newest%/}"
    elif command -v initdb >/dev/null && command -v pg_ctl >/dev/null; then
        dirname "$(command -v initdb)"
    else
        fail "PostgreSQL is missing: apt-get install postgresql"
    fi
}

# Runs a command as the user that PostgreSQL may run as.
as_postgres() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
        return
    fi
    local user=nobody
    if id postgres >/dev/null 2>&1; then user=postgres; fi
    (cd / && runuser -u "$user" -- "$@")
}

# A port on which nothing listens just now.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/$listen/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    fail "no free port was found"
}

# Removes the data of a PostgreSQL that is not running any more.
remove_data() {
    local data
    data=$(cat "$dir/postgres.data" 2>/dev/null) || return 0
    case $data in /tmp/olake-test-postgres.*) rm -rf "$data" ;; esac
}

# Whether the process of a pid file lives and is the named program: a pid may be somebody else's by now.
is_running() {
    local pid
    pid=$(head -n 1 "$1" 2>/dev/null) && [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]
}

start_postgres() {
    local durability="-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    if [ "${OLAKE_TEST_DURABLE:-}" = 1 ]; then durability=""; fi
    local bin data port
    bin=$(postgres_bin)
    remove_data
    # The user of PostgreSQL may have no way into the folder (it may be below /root): its data is beside it, in /tmp.
    data=$(as_postgres mktemp -d /tmp/olake-test-postgres.XXXXXX)
    echo "$data" >"$dir/postgres.data"
    as_postgres "$bin/initdb" --pgdata="$data" --username=olake --auth=trust --encoding=UTF8 --locale=C --no-sync \
        >"$dir/postgres.log" 2>&1 || fail "initdb failed: $(tail -n 5 "$dir/postgres.log")"
    if [ "$listen" != 127.0.0.1 ]; then
        echo "host all all all trust" | as_postgres tee --append "$data/pg_hba.conf" >/dev/null
    fi
    for _ in 1 2 3 4 5; do
        port=$(free_port)
        if as_postgres "$bin/pg_ctl" start --wait --timeout=60 --silent --pgdata="$data" --log="$data/server.log" \
            --options="-c port=$port -c listen_addresses=$listen -c unix_socket_directories= \
                -c max_connections=300 -c shared_buffers=64MB -c autovacuum_naptime=10min $durability ${OLAKE_TEST_POSTGRES_OPTIONS:-}" >>"$dir/postgres.log" 2>&1; then
            echo "$port" >"$dir/postgres.port"
            as_postgres cat "$data/postmaster.pid" | head -n 1 >"$dir/postgres.pid"
            return
        fi
    done
    fail "PostgreSQL does not start: $(as_postgres tail -n 5 "$data/server.log")"
}

start_redis() {
    local port
    command -v redis-server >/dev/null || fail "Redis is missing: apt-get install redis-server"
    for _ in 1 2 3 4 5; do
        port=$(free_port)
        redis-server --bind "$listen" --protected-mode no --port "$port" --save "" --appendonly no --daemonize yes \
            --dir "$dir" --pidfile "$dir/redis.pid" --logfile "$dir/redis.log" >/dev/null
        for _ in $(seq 100); do
            if is_running "$dir/redis.pid" redis-server && (exec 3<>"/dev/tcp/$listen/$port") 2>/dev/null; then
                echo "$port" >"$dir/redis.port"
                return
            fi
            sleep 0.05
        done
    done
    fail "Redis does not start: $(tail -n 5 "$dir/redis.log")"
}

# Ends the process of a pid file, and waits until it is gone.
stop() {
    local file=$1 name=$2 signal=$3 pid
    if is_running "$file" "$name"; then
        pid=$(head -n 1 "$file")
        kill "-$signal" "$pid"
        for _ in $(seq 200); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.05
        done
    fi
    rm -f "$file"
}

case $action in
    up)
        is_running "$dir/postgres.pid" postgres || start_postgres
        is_running "$dir/redis.pid" redis-server || start_redis
        echo "export OLAKE_TEST_POSTGRES_URL=postgres://olake@$listen:$(cat "$dir/postgres.port")/postgres"
        echo "export OLAKE_TEST_REDIS_URL=redis://$listen:$(cat "$dir/redis.port")/0"
        ;;
    down)
        # SIGQUIT is PostgreSQL's immediate shutdown: nothing is to be kept.
        stop "$dir/postgres.pid" postgres QUIT
        stop "$dir/redis.pid" redis-server TERM
        remove_data
        rm -f "$dir"/postgres.* "$dir"/redis.*
        rmdir "$dir" 2>/dev/null || true
        ;;
    *) fail "$usage" ;;
esac
