# What there is to do here. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help run test check e2e-ui bench chaos e2e e2e-nightly openapi images cluster-up cluster-down cluster-test

help: ## List these targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build it, run it on http://localhost:8080 and show a first sync (Ctrl-C stops it)
	@cargo build --release --workspace --bin olake --bin sample-connector
	@exec target/release/olake standalone --demo deploy/sample-connector/data

test: ## Install PostgreSQL and Redis if they are missing, start them for the tests, run all tests
	@deploy/test/run.sh

check: ## Format, lints, and the rules for dependencies (cargo-deny is installed if it is missing)
	@deploy/test/check.sh

e2e-ui: ## The API in a real browser, as the web UI uses it (Chromium and playwright-core are installed if they are missing)
	@deploy/e2e-ui/run.sh

bench: ## Measure latency and memory on this machine (release build), of pods as well (root); half an hour and more
	@deploy/bench/run.sh

chaos: ## Kill, pause and cut off everything for some minutes, and prove that nothing was lost or doubled
	@deploy/chaos/run.sh

e2e: ## Install the chart on a real Kubernetes of one node, made for it, and prove that connectors live in pods (root)
	@deploy/cluster/e2e/run.sh

e2e-nightly: ## The same with release programs and much more (an hour), and note it in deploy/cluster/RESULTS.md
	@deploy/cluster/e2e/run.sh --nightly --results deploy/cluster/RESULTS.md

openapi: ## Write openapi.yaml anew from the code
	@cargo run --quiet --bin olake-api -- openapi > openapi.yaml

images: ## Make the images of the API, the worker and the sample connector (no Docker needed) in target/images
	@deploy/docker/images.sh --build target/images

cluster-up: ## Start a Kubernetes of one node on this machine (the first time it builds it, for about ten minutes)
	@deploy/cluster/cluster.sh up

cluster-down: ## End that Kubernetes and remove all it has written
	@deploy/cluster/cluster.sh down

cluster-test: ## Prove on a cluster of its own that such a Kubernetes works and leaves nothing, and that images are right
	@deploy/cluster/test.sh
	@deploy/docker/test.sh
