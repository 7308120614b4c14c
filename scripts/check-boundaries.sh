#!/bin/sh
# Holds the direction of dependencies that ARCHITECTURE.md states: which crate of the workspace may use which
# other, and what must never get into some of them. Asks cargo, so it sees what is built.
set -eu

cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
faults=0

fault() {
    echo "check-boundaries: $*" >&2
    faults=$((faults + 1))
}

# The crates of the workspace that each crate may be built on.
allowed() {
    case $1 in
    sluice-wire | sluice-failure | sluice-diagnostics) echo ;;
    sluice-access | sluice-broker | sluice-runtime) echo sluice-wire sluice-failure sluice-diagnostics ;;
    sluice-fanout) echo sluice-wire sluice-failure ;;
    sluice-testkit | sluice-loadtest) echo sluice-wire ;;
    sluice-gateway) echo sluice-wire sluice-failure sluice-diagnostics sluice-access sluice-broker sluice-fanout ;;
    sluice-publisher) echo sluice-wire sluice-failure sluice-diagnostics sluice-access sluice-broker ;;
    sluice-fuzz) echo sluice-wire sluice-access sluice-broker sluice-gateway sluice-publisher sluice-runtime ;;
    sluice) echo sluice-wire sluice-failure sluice-diagnostics sluice-access sluice-broker sluice-gateway sluice-publisher sluice-runtime ;;
    *) return 1 ;;
    esac
}

# What must not be found at any depth below a crate that is built without its tests.
forbidden() {
    case $1 in
    sluice-wire | sluice-diagnostics) echo tokio redis hyper axum serde_json ;;
    sluice-failure) echo tokio redis hyper axum serde_json tracing metrics ;;
    sluice-fanout) echo tokio redis hyper http axum serde_json ;;
    sluice-access | sluice-runtime | sluice-testkit | sluice-loadtest) echo redis deadpool-redis ;;
    esac
}

# packages <crate> <kinds of edges> [<argument of cargo tree>..]: the names below the crate, one a line.
packages() {
    of=$1 edges=$2
    shift 2
    tree=$("$cargo" tree --quiet --package "$of" --edges "$edges" --target all --prefix none "$@") || return 2
    echo "$tree" | sed -e 1d -e 's/ .*//' | sort -u
}

listed() {
    for item in $2; do
        [ "$item" != "$1" ] || return 0
    done
    return 1
}

tree=$("$cargo" tree --quiet --workspace --depth 0 --prefix none)
members=$(echo "$tree" | sed -e '/^$/d' -e 's/ .*//' | sort -u)

for crate in $members; do
    if ! may=$(allowed "$crate"); then
        fault "$crate is new: say in $0 and in ARCHITECTURE.md what it may use"
        continue
    fi
    built=$(packages "$crate" normal,build --depth 1)
    tested=$(packages "$crate" normal,build,dev --depth 1)
    for used in $tested; do
        case $used in
        sluice-testkit)
            if listed "$used" "$built"; then fault "$crate must not use $used outside its tests"; fi
            ;;
        sluice*)
            if ! listed "$used" "$may"; then fault "$crate must not use $used"; fi
            ;;
        redis | deadpool-redis)
            if [ "$crate" != sluice-broker ]; then fault "only sluice-broker uses $used, but $crate does"; fi
            ;;
        esac
    done
    banned=$(forbidden "$crate")
    [ -n "$banned" ] || continue
    below=$(packages "$crate" normal)
    for name in $banned; do
        if listed "$name" "$below"; then fault "$name must not be below $crate"; fi
    done
done

[ "$faults" -eq 0 ] || exit 1
echo "check-boundaries: $(echo "$members" | wc -l | tr -d ' ') crates, each within its bounds"
