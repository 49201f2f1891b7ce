# SPDX-License-Identifier: Apache-2.0
# The front door. CMake does the building: cmake --preset dev|release|fuzz|cover.
JOBS ?= 2
SECONDS_EACH ?= 60
INSTANCES ?= 10000
PYTHON ?= python3
C_SOURCES = $(shell find cel graph kube reactor cli examples tests -name '*.c' -o -name '*.h')

.PHONY: all run test test-node bench fuzz memcheck format lint image deploy-kind undeploy-kind clean help
.DEFAULT_GOAL := all

all: ## build the program: build/release/kroc
	@deploy/packages.sh
	@[ build/release/build.ninja -nt CMakePresets.json ] || cmake --preset release >/dev/null
	@cmake --build --preset release -j $(JOBS) --target kroc

run: began := $(shell date +%s)
run: all ## the program at work on its sandbox (ONCE=1 ends by itself), or with CLUSTER=real on a real control plane
ifeq ($(CLUSTER),real)
	@bin=$$(tests/cluster/build.sh) && exec $(PYTHON) tests/cluster/demo.py --bin "$$bin"
else
	@exec build/release/kroc demo --since $(began) $(if $(filter-out 0,$(ONCE)),--once) examples/webapp
endif

test: ## every test; TESTS=regex runs some
	@JOBS=$(JOBS) tests/run.sh

test-node: all ## the chart on a real node with containerd and kubelet, in namespaces of its own (as root)
	@deploy/packages.sh --node
	@tests/deploy/helm/build.sh >/dev/null && tests/node/build.sh >/dev/null
	@bin=$$(tests/cluster/build.sh) && exec $(PYTHON) tests/node/node_test.py --kroc build/release/kroc --bin "$$bin"

bench: all ## the benches, in release; the last of them with INSTANCES=10000
	@cmake --build --preset release -j $(JOBS) --target tests/bench/all bench_scale
	@for b in build/release/tests/bench/bench_*; do [ -x "$$b" ] || continue; echo "== $${b##*/}"; "$$b" || exit 1; done
	@echo "== instructions"; tests/bench/counts.sh check build/release/tests/bench/bench_cel || [ $$? = 77 ]
	@echo "== scale: $(INSTANCES) instances"; build/release/tests/scale/bench_scale --kroc build/release/kroc --instances $(INSTANCES)

fuzz: ## each fuzzer for SECONDS_EACH=60
	@deploy/packages.sh --dev
	@cmake --preset fuzz >/dev/null
	@cmake --build --preset fuzz -j $(JOBS) --target tests/fuzz/all
	@for f in build/fuzz/tests/fuzz/fuzz_*; do [ -x "$$f" ] || continue; n=$${f##*/fuzz_}; echo "== $$n"; \
	    mkdir -p build/fuzz/work/$$n && "$$f" -max_total_time=$(SECONDS_EACH) -print_final_stats=1 \
	    -artifact_prefix=build/fuzz/work/ build/fuzz/work/$$n tests/fuzz/corpus/$$n || exit 1; done

memcheck: ## the unit tests under valgrind
	@deploy/packages.sh --dev
	@cmake -S . -B build/memcheck -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo >/dev/null
	@cmake --build build/memcheck -j $(JOBS)
	@tests/memcheck.sh build/memcheck

format: ## lay out the C sources
	@clang-format -i $(C_SOURCES)

lint: ## clang's warnings and clang-tidy
	@deploy/packages.sh --dev
	@cmake -S . -B build/lint -G Ninja -DCMAKE_BUILD_TYPE=Debug -DKROC_WERROR=ON -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
	    -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ >/dev/null
	@cmake --build build/lint -j $(JOBS)
	@run-clang-tidy -quiet -j $(JOBS) -p build/lint '/(cel|graph|kube|reactor|cli)/.*\.c$$'

image: all ## an OCI archive: build/kroc-image.tar; with ENGINE=docker, podman, buildah or auto also in that engine
	@deploy/image.sh $(if $(ENGINE),--engine $(ENGINE))

deploy-kind: all ## into a kind cluster (ARGS="--on k3d", "--chart", ...)
	@deploy/deploy-kind.sh $(ARGS)

undeploy-kind: ## undo that
	@deploy/deploy-kind.sh --delete $(ARGS)

clean: ## remove what was built (the control plane in the cache stays)
	@rm -rf build

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/\1|\2/p' Makefile | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'
