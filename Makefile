# Two commands matter: `make demo` and `make test`. `make` alone lists the rest.

# Where the installers of Go and Rust put them, for a shell that has not been told yet.
export PATH := $(PATH):/usr/local/go/bin:$(HOME)/.cargo/bin

TARGET := $(or $(CARGO_TARGET_DIR),target)
CRD := crds/sourcecontrolconfigurations.yaml
IMAGE ?= gitmoor:dev
MINUTES ?= 5

.PHONY: help demo test bench fuzz fmt lint generate check-generated build static image requirements

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## See it work on a real control plane; stays up until Ctrl-C (ONCE=1: check each step and exit)
	$(TARGET)/debug/demo

test: ## Run every test; the last line is the total
	@scripts/requirements tests
	@scripts/test

bench: requirements ## Measure speed and memory, each figure beside its limit
	cargo build --release -p gitmoor -p gitmoor-bench
	$(TARGET)/release/bench

fuzz: requirements ## Fuzz the reader of manifests (needs cargo-fuzz; MINUTES=5)
	mkdir -p operator/fuzz/corpus/manifest
	cp operator/tests/operator/cases/*.yaml operator/tests/operator/cases/*.json operator/fuzz/corpus/manifest
	cd operator && cargo fuzz run --sanitizer none manifest -- -max_total_time=$$(($(MINUTES) * 60)) -max_len=4096 -timeout=10 -rss_limit_mb=1024

fmt: ## Format the code
	cargo fmt --all

lint: ## Check the format and run clippy, warnings denied
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

generate: build ## Write the files that are made from the code
	$(TARGET)/debug/gitmoor crds > $(CRD).new
	mv $(CRD).new $(CRD)

check-generated: build ## Fail if a generated file is not what the code makes
	$(TARGET)/debug/gitmoor crds | diff -u $(CRD) -

# Both packages at once, and without flags, so that `make test` finds their dependencies built.
build: requirements ## Build the program and the demo
	cargo build -p gitmoor -p gitmoor-examples

static: requirements ## Build the static program and the image's files in target/image, and try them
	scripts/image-root $(TARGET)/image
	scripts/try-image-root $(TARGET)/image

image: ## Build the container image (docker; IMAGE=name:tag)
	docker build -t $(IMAGE) .

requirements: # What the others need; says what is missing
	@scripts/requirements
