# shellcheck shell=bash
# The packages that building and running a mesh needs: what is missing, and getting it. Sourced by ./mesh, which
# provides say, die, have, and the variables YES and WORK.

have_postgres() {
    local dir dirs=()
    [ -z "${MESH_POSTGRES__BIN_DIR:-}" ] || dirs+=("$MESH_POSTGRES__BIN_DIR")
    if have initdb; then dirs+=("$(dirname "$(command -v initdb)")"); fi
    if have pg_config; then dirs+=("$(pg_config --bindir 2>/dev/null || true)"); fi
    for dir in ${dirs[@]+"${dirs[@]}"} /usr/lib/postgresql/*/bin; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then return 0; fi
    done
    return 1
}

have_java() {
    local java=java major
    if [ -n "${JAVA_HOME:-}" ] && [ -x "$JAVA_HOME/bin/java" ]; then java="$JAVA_HOME/bin/java"; fi
    major="$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)" || return 1
    [ -n "$major" ] && [ "$major" -ge 17 ]
}

# Debian and Ubuntu packages whose programs are not here, one per line; `missing_packages tests` adds what only tests need,
# `missing_packages full` what only the long ones do.
missing_packages() {
    if ! have cc || ! have make || ! have g++; then echo build-essential; fi
    have pkg-config || echo pkg-config
    have protoc || echo protobuf-compiler
    have_postgres || echo postgresql
    have redis-server || echo redis-server
    [ "${MESH_PROMETHEUS__MODE:-auto}" = off ] || have prometheus || echo prometheus
    have_java || java_package
    have mvn || echo maven
    have curl || echo curl
    [ -s /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
    case "${1:-}" in
        tests | full)
            have strace || echo strace
            have git || echo git
            # deploy/check: its tools live in a virtual environment, and rules are checked by promtool
            python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
            if ! have promtool && { have prometheus || [ "${MESH_PROMETHEUS__MODE:-auto}" = off ]; }; then echo prometheus; fi
            ;;
    esac
}

java_package() {
    if have apt-cache && [ -z "$(apt-cache search --names-only '^openjdk-17-jre-headless$' 2>/dev/null)" ]; then
        echo default-jre-headless
    else
        echo openjdk-17-jre-headless
    fi
}

agreed() {
    local answer
    if [ "$YES" = 1 ] || [ ! -t 0 ] || [ ! -t 2 ]; then return 0; fi
    printf 'Install them now? [Y/n] ' >&2
    read -r answer || return 1
    case "$answer" in '' | y | Y | yes) return 0 ;; *) return 1 ;; esac
}

install_missing() {
    local packages=() command sudo=()
    mapfile -t packages < <(missing_packages "$@")
    if [ "${#packages[@]}" -eq 0 ]; then return 0; fi
    command="apt-get install --no-install-recommends ${packages[*]}"
    say "Needed and not installed: ${packages[*]}"
    if ! have apt-get; then die "this machine has no apt-get: install what these Debian packages contain, then call ./mesh again"; fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! have sudo; then die "installing needs root: run as root  $command"; fi
        sudo=(sudo)
    fi
    agreed || die "nothing was installed; the command is: ${sudo[*]} $command"
    install_packages "${packages[@]}"
    mapfile -t packages < <(missing_packages "$@")
    if [ "${#packages[@]}" -ne 0 ]; then die "still missing after the installation: ${packages[*]}"; fi
}

# Installs without starting any server: policy-rc.d says no to starts, and a drop-in to Debian's first Postgres cluster.
# Both are removed again unless they were there before.
install_packages() {
    local log="$WORK/logs/install.log" began=$SECONDS status=0
    mkdir -p "$WORK/logs"
    say "Installing (log: $log) ..."
    # shellcheck disable=SC2024 # the log is ours, not root's
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive sh -s -- "$@" >"$log" 2>&1 <<'INSTALL' || status=$?
set -eu
policy=/usr/sbin/policy-rc.d
dropin=/etc/postgresql-common/createcluster.d
undo=:
trap 'eval "$undo"' EXIT
trap 'exit 1' HUP INT TERM
if [ ! -e "$policy" ]; then
    undo="$undo; rm -f $policy"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
undo="$undo; rm -f $dropin/throughline.conf; rmdir $dropin /etc/postgresql-common 2>/dev/null || :"
mkdir -p "$dropin"
echo 'create_main_cluster = false' >"$dropin/throughline.conf"
apt-get -q -y install --no-install-recommends "$@" || { apt-get -q update && apt-get -q -y install --no-install-recommends "$@"; }
# What we installed for the mesh alone need not start with the machine either.
if [ -d /run/systemd/system ]; then
    for package; do
        case "$package" in postgresql | redis-server | prometheus) systemctl disable "$package" >/dev/null 2>&1 || : ;; esac
    done
fi
INSTALL
    if [ "$status" -ne 0 ]; then
        tail -n 15 "$log" >&2
        die "installing failed; whole log: $log. By hand: apt-get update && apt-get install --no-install-recommends $*"
    fi
    say "Installed in $((SECONDS - began)) s."
}
