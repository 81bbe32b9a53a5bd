# dnsd: what a developer or a first-time user runs. `make run`, `make fleet` and `make test` need nothing prepared
# beforehand.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
CONFIG ?= config.example.toml

export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run fleet setup setup-test test lint types format bench bench-peers fuzz clean

run: setup
	@scripts/run-example $(BIN)/dnsd $(CONFIG)

# Three servers that share a Redis. FLEET="--redis-port 6391" and the like: see scripts/run-fleet --help.
fleet: setup
	@scripts/provide-programs "make fleet" redis-server redis-server redis-cli redis-tools
	@$(BIN)/python scripts/run-fleet $(BIN)/dnsd $(CONFIG) $(FLEET)

setup: $(VENV)/.installed

setup-test: $(VENV)/.installed-test

# Without the code of gRPC, which a first look has no need of and whose generator is large; what tests need has it.
$(VENV)/.installed: pyproject.toml constraints.txt dnsd/__init__.py
	@scripts/make-venv $(PYTHON) $(VENV)
	DNSD_WITHOUT_GRPC=1 $(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed hatch_build.py proto/dnsd/v1/control.proto
	$(BIN)/pip install --quiet --editable '.[grpc,test]'
	@touch $@

# First what may run side by side, then what loads the machine or measures it. Much of a test is waiting, so that one
# more at a time than there are CPUs is well.
TEST_WORKERS ?= $(shell expr $$(nproc) + 1)
test: setup-test
	@scripts/provide-test-tools
	$(BIN)/pytest -q -n $(TEST_WORKERS) --dist loadgroup -m 'not alone'
	$(BIN)/pytest -q -m alone $$(grep -rl --include='*.py' 'pytest\.mark\.alone' tests)

lint: setup-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup-test
	$(BIN)/mypy

# A measurement, not a test: nothing asserts on it. BENCH="--only cost --seconds 2" and the like: see bench/README.md.
bench: setup-test
	@scripts/provide-programs "make bench" dnsperf dnsperf
	$(BIN)/python -m bench.run $(BENCH)

# What it compares with, as far as Debian has it. Without them, it measures dnsd alone.
bench-peers:
	@scripts/provide-programs "make bench" dnsperf dnsperf cc build-essential gdnsd gdnsd nsd nsd \
		knotd knot pdns_server pdns-server "/usr/lib/*/pdns/libbindbackend.so" pdns-backend-bind named bind9 \
		redis-server redis-server

# Hunts for packets that the core cannot take, and puts what it learns into tests/fuzz/corpus. It has one process.
FUZZ_SECONDS ?= 300
fuzz: setup-test
	@$(BIN)/pip install --quiet --editable '.[fuzz]' || echo "make fuzz: its packages cannot be installed here." >&2
	nice $(BIN)/python -m tests.fuzz.campaign --seconds $(FUZZ_SECONDS)

format: setup-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
