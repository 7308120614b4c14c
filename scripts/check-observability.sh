#!/bin/sh
# Checks alerts, dashboard and runbook: that the alerts fire when they should and not otherwise (promtool), that every metric and
# every section named is there, and that every query has an answer from a Prometheus that scrapes a loaded node. What cannot be
# checked here is listed at the end as SKIPPED; OBSERVABILITY_STRICT=1 makes that a fault. Debian's package prometheus has both tools.
set -eu

cd "$(dirname "$0")/.."
. scripts/steps.sh
sluice=${SLUICE:-target/debug/sluice}
# One script reads another; what Python compiles of it does not belong among the sources.
export PYTHONDONTWRITEBYTECODE=1

has() {
    command -v "$1" >/dev/null 2>&1
}

# The package would also start a Prometheus of its own on port 9090: policy-rc.d is how Debian is told not to.
install_prometheus() {
    has apt-get && [ "$(id -u)" -eq 0 ] || return 0
    policy=/usr/sbin/policy-rc.d
    ours=
    if [ ! -e "$policy" ]; then
        ours=$policy
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    {
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends prometheus ||
            { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends prometheus; }
    } >&2 || echo "check-observability: prometheus cannot be installed" >&2
    [ -z "$ours" ] || rm -f "$ours"
}

if ! has promtool || ! has prometheus; then install_prometheus; fi

if has python3; then
    step python3 scripts/observability/names.py
    step python3 scripts/observability/compose.py
else
    skip "whether all that alerts and dashboard name is documented: there is no python3"
fi
if has promtool; then
    step promtool check rules helm/sluice/files/alerts.yaml
    step promtool test rules helm/sluice/tests/alerts_test.yaml
    step promtool check config --syntax-only docker/prometheus.yml
else
    skip "whether the alerts fire when they should: there is no promtool (apt-get install prometheus)"
fi
if ! has prometheus || ! has python3; then
    skip "the dashboard's queries against a Prometheus: prometheus (apt-get install prometheus) or python3 is not here"
elif [ ! -x "$sluice" ]; then
    skip "the dashboard's queries against a loaded node: there is no $sluice (cargo build -p sluice)"
else
    step python3 scripts/observability/live.py "$sluice" "$(command -v prometheus)"
fi

finish check-observability "${OBSERVABILITY_STRICT:-}"
