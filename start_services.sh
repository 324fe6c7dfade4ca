#!/usr/bin/env bash
# Builds what is missing and starts the money transfer example: the server, the account API, the money transfer API with its
# page, and a worker, whose log appears here. See `./start_services.sh help`.
#
# Written for the bash 3.2 of macOS as well, and for nothing else: no curl, no lsof, no jq.

set -u
cd "$(dirname "$0")" || exit 1

usage() {
  cat <<'TEXT'
./start_services.sh            build what is missing and start everything; Ctrl+C stops it
./start_services.sh exercise   the same with the worker of docs/exercise.md, which has two mistakes in it
./start_services.sh worker     build the worker of the running example again and restart it (as the key r does there)

Where things are is changed by the environment:
  STEADFAST_PORT (7233)  STEADFAST_UI_PORT (8080)  ACCOUNT_API_PORT (5000)  MONEY_TRANSFER_API_PORT (5001)
  STEADFAST_DATA (data)  the folder of the databases and logs, kept between runs
  STEADFAST_SERVER       a server binary to start instead of building one
TEXT
}

server_port=${STEADFAST_PORT:-7233}
ui_port=${STEADFAST_UI_PORT:-8080}
account_port=${ACCOUNT_API_PORT:-5000}
money_port=${MONEY_TRANSFER_API_PORT:-5001}
data=${STEADFAST_DATA:-data}
target=${CARGO_TARGET_DIR:-target}
server=${STEADFAST_SERVER:-}
worker_package=transfer-worker

say() { printf '%s\n' "$*"; }
fail() {
  say "start_services.sh: $*" >&2
  exit 1
}

# ---------------------------------------------------------------- stopping

# The services that run: "pid name" in the order of their start.
running=()
worker_pid=
# What it sleeps with while nobody can press keys.
pause_pid=

stop_process() { # pid
  kill "$1" 2>/dev/null || return 0
  local waited=0
  while kill -0 "$1" 2>/dev/null; do
    [ $waited -ge 60 ] && kill -9 "$1" 2>/dev/null
    sleep 0.1
    waited=$((waited + 1))
  done
  wait "$1" 2>/dev/null
}

stop_everything() {
  trap '' INT TERM HUP
  [ -n "$pause_pid" ] && kill "$pause_pid" 2>/dev/null
  [ -n "$worker_pid" ] && stop_process "$worker_pid"
  local index
  for ((index = ${#running[@]} - 1; index >= 0; index--)); do
    stop_process "${running[index]%% *}"
  done
  rm -f "$data/start_services.pid"
}

# ---------------------------------------------------------------- building

need() { # tool, where to get it
  command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: install it from $2"
}

# The pages, when their source is newer than what was built of it.
build_pages() {
  [ -f web/package.json ] || return 0
  if [ -d web/dist ] && [ -z "$(find web -path web/node_modules -prune -o -path web/dist -prune -o -type f -newer web/dist -print | head -n 1)" ]; then
    return 0
  fi
  need node https://nodejs.org
  need npm https://nodejs.org
  say "building the web UI"
  if [ ! -f web/node_modules/.package-lock.json ] || [ web/package-lock.json -nt web/node_modules/.package-lock.json ]; then
    (cd web && npm ci --no-audit --no-fund --loglevel=error) || fail "npm ci failed in web/: see above"
  fi
  (cd web && npm run --silent build) || fail "the web UI could not be built: see above"
  touch web/dist
}

# The server is built for speed. The example is not: its worker is built again and again by whoever does the exercise, and
# the development profile takes seconds for it where the other takes minutes.
build() {
  if [ -z "$server" ]; then
    build_pages
    [ -d crates/cli ] || fail "there is no crates/cli to build the server from: set STEADFAST_SERVER to a server binary"
    say "building the server (some minutes the first time)"
    cargo build --quiet --release -p steadfast-cli || fail "the server could not be built: see above"
    server=$target/release/steadfast
  fi
  say "building the example (some minutes the first time)"
  build_example || fail "the example could not be built: see above"
}

# Always all of it, so that dependencies are always built with the same features, and so once.
build_example() {
  cargo build --quiet -p account-api -p money-transfer-api -p transfer-worker -p transfer-worker-exercise
}

# ---------------------------------------------------------------- starting

port_is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

need_port() { # port, what for, variable
  case $1 in *[!0-9]* | '') fail "$3=$1 is not a port" ;; esac
  port_is_open "$1" && fail "port $1, for $2, is taken: stop what uses it, or choose another with $3=..."
  return 0
}

# The status of a GET, without curl.
http_status() { # port, path
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
    IFS=' ' read -r -t 5 _ status _ <&3 && printf '%s' "$status"
  ) 2>/dev/null
}

http_contains() { # port, path, text
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
    printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$2" >&3
    grep -q "$3" <&3
  ) 2>/dev/null
}

start() { # name, command...
  local name=$1 log=$data/logs/$1.log
  shift
  "$@" </dev/null >"$log" 2>&1 &
  running+=("$! $name")
}

# Waits until a service is well; names it when it dies or takes too long.
await() { # name, check...
  local name=$1 waited=0
  shift
  until "$@"; do
    name_the_dead
    [ $waited -ge 300 ] && fail "the $name does not answer after 30 seconds: look at $data/logs/$name.log"
    sleep 0.1
    waited=$((waited + 1))
  done
}

server_is_well() { port_is_open "$server_port" && [ "$(http_status "$ui_port" /)" != "" ]; }
account_api_is_well() { [ "$(http_status "$account_port" /health)" = 200 ]; }
# Says also whether the server answers its API, and has by then made sure of the search attributes.
money_api_is_well() { http_contains "$money_port" /api/health '"server":true'; }

name_the_dead() {
  local service
  for service in ${running[@]+"${running[@]}"}; do
    kill -0 "${service%% *}" 2>/dev/null && continue
    local name=${service#* } last
    last=$(grep -v '^[[:space:]]*$' "$data/logs/$name.log" 2>/dev/null | tail -n 1)
    fail "the $name has died: ${last:-it said nothing}. Look at $data/logs/$name.log and start again"
  done
}

start_worker() {
  TEMPORAL_ADDRESS=127.0.0.1:$server_port ACCOUNT_API_URL=http://127.0.0.1:$account_port \
    "$target/debug/$worker_package" </dev/null &
  worker_pid=$!
}

restart_worker() {
  say "building the worker"
  if ! build_example; then
    say "the worker could not be built: see above. The old one goes on; mend it and press r again"
    return
  fi
  [ -n "$worker_pid" ] && stop_process "$worker_pid"
  start_worker
  say "the worker has been restarted"
}

# ---------------------------------------------------------------- the commands

case ${1:-} in
  '') ;;
  exercise) worker_package=transfer-worker-exercise ;;
  worker)
    pid=$(cat "$data/start_services.pid" 2>/dev/null) && kill -USR1 "$pid" 2>/dev/null \
      || fail "the example is not running: start it with ./start_services.sh"
    say "asked for it: the other terminal shows how it goes"
    exit 0
    ;;
  help | -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

need cargo https://rustup.rs
mkdir -p "$data/logs" || fail "cannot write to $data: choose another folder with STEADFAST_DATA=..."
need_port "$server_port" "the server" STEADFAST_PORT
need_port "$ui_port" "the web UI" STEADFAST_UI_PORT
need_port "$account_port" "the account API" ACCOUNT_API_PORT
need_port "$money_port" "the money transfer API" MONEY_TRANSFER_API_PORT
build

trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap stop_everything EXIT
restart=
trap 'restart=yes' USR1
printf '%s\n' $$ >"$data/start_services.pid"

start server "$server" server start-dev --port "$server_port" --ui-port "$ui_port" --db-filename "$data/steadfast.db" \
  --search-attribute from_account=Keyword --search-attribute to_account=Keyword
await server server_is_well
start account-api "$target/debug/account-api" --port "$account_port" --db "$data/accounts.db"
await account-api account_api_is_well
start money-transfer-api "$target/debug/money-transfer-api" --port "$money_port" --server "127.0.0.1:$server_port" \
  --server-ui "http://localhost:$ui_port" --account-api "http://127.0.0.1:$account_port"
await money-transfer-api money_api_is_well
start_worker

cat <<TEXT

  money transfer   http://localhost:$money_port
  web UI           http://localhost:$ui_port
  account API      http://localhost:$account_port
  server (gRPC)    localhost:$server_port
  logs             $data/logs

  r builds and restarts the worker, Ctrl+C stops everything. Now the worker's log:

TEXT

terminal=
[ -t 0 ] && terminal=yes
while :; do
  key=
  if [ -n "$terminal" ]; then
    read -r -s -n 1 -t 1 key || true
  else
    sleep 1 &
    pause_pid=$!
    wait "$pause_pid" 2>/dev/null
  fi
  case $key in
    r | R) restart=yes ;;
    q | Q) exit 0 ;;
  esac
  if [ -n "$restart" ]; then
    restart=
    restart_worker
  fi
  name_the_dead
  if [ -n "$worker_pid" ] && ! kill -0 "$worker_pid" 2>/dev/null; then
    worker_pid=
    say "the worker has died: what it said is above. Press r to build and start it again"
  fi
done
