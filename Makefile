# Everything a person does with this repository. `make` alone lists it.
#
# Each target works on a fresh clone: whatever it needs (.venv, build tools, compiled kernels) is made
# first, and stamp files make the second run quick.

PYTHON ?= python3
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= /usr/lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
TMPFILESDIR ?= /usr/lib/tmpfiles.d
DESTDIR ?=
# CMake would honour it while it builds, and leave the kernels elsewhere.
unexport DESTDIR

VENV := .venv
BIN := $(VENV)/bin
VENV_MADE := $(VENV)/.made
TOOLS := $(VENV)/.tools
INSTALLED := $(VENV)/.installed
BENCH_INSTALLED := $(VENV)/.bench-installed
S3_INSTALLED := $(VENV)/.s3-installed
IOREDIS_INSTALLED := build/ioredis/.installed
COVERAGE_INSTALLED := $(VENV)/.coverage-installed
KERNEL_SOURCES := $(wildcard replicad/kernels/*/*.cc replicad/kernels/*/*.h replicad/kernels/CMakeLists.txt)
CXX_SOURCES := $(filter %.cc %.h,$(KERNEL_SOURCES)) $(wildcard tests/fuzz/native/*.cc tests/fuzz/native/*.h)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Every version that lint and tests run with. `make lock` writes it anew.
LOCKED := --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-all check lint coverage lock types format bench bench-daemons bench-plots bench-large crash faults rot sim torture soak upgrade bombs teeth fuzz asan ubsan tsan links failover nightly ioredis install uninstall clean

##@ Begin here

help:  ## list these targets
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z][a-z-]*:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED)  ## make .venv, build the kernels, install replicad editable

demo: $(INSTALLED)  ## a primary and two replicas on real data, killed and compared (DEMO_FLAGS=…)
	$(BIN)/replicad demo $(DEMO_FLAGS)

##@ While you change it

# Side by side, one more than there are processors: many tests wait for processes that they started.
WORKERS ?= $(shell expr $$(nproc) + 1)

PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

test: $(INSTALLED)  ## run the tests but the long ones (TESTS=tests/store: all of these; PYTEST_FLAGS=… adds, WORKERS=0 one by one)
	$(PYTEST) $(if $(TESTS),,-m 'not long') $(PYTEST_FLAGS) $(TESTS)

test-all: $(INSTALLED)  ## run all tests, the long ones too
	$(PYTEST) $(PYTEST_FLAGS) $(TESTS)

check: $(S3_INSTALLED) ioredis lint types test-all  ## what CI runs: lint, types and tests, backups to S3 too

lint: $(INSTALLED)  ## ruff, formatting, the order of the layers, circles of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $(CXX_SOURCES)
	$(BIN)/python tests/lint_layers.py
	$(BIN)/python tests/lint_asserts.py
	$(BIN)/python -m tests.lint_circles
	$(BIN)/python tests/lint_english.py

coverage: $(COVERAGE_INSTALLED)  ## lines and branches that the tests of TESTS reach, in build/coverage
	$(PYTEST) --cov=replicad --cov-branch \
		--cov-report=term:skip-covered --cov-report=html:build/coverage $(PYTEST_FLAGS) $(TESTS)

types: $(INSTALLED)  ## mypy --strict over replicad, tests and bench
	$(BIN)/mypy

lock: $(S3_INSTALLED) $(BENCH_INSTALLED) $(COVERAGE_INSTALLED)  ## write constraints.txt: the versions that .venv has now
	$(BIN)/python -m pip --disable-pip-version-check list --format=freeze --exclude-editable --exclude pip --exclude setuptools > constraints.txt

format: $(INSTALLED)  ## rewrite the sources as ruff and clang-format want them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_SOURCES)

##@ Measure

bench: $(BENCH_INSTALLED)  ## compare with rocksdict, as ratios (BENCH_FLAGS='--records 100000' is quick)
	$(BIN)/python -m bench $(BENCH_FLAGS)

bench-daemons: $(BENCH_INSTALLED)  ## the daemons beside Redis, rsync and RocksDB (DAEMONS_FLAGS="--only SET* --sizes full")
	$(BIN)/python -m bench.daemons $(DAEMONS_FLAGS)

bench-plots: $(BENCH_INSTALLED)  ## draw how cost grows, into bench/results (PLOTS_FLAGS=--quick takes two minutes)
	$(BIN)/python -m bench.plots $(PLOTS_FLAGS)

bench-large: $(BENCH_INSTALLED)  ## the table, opening and memory at 10^7 records: takes long, and 10 GB of memory
	$(BIN)/python -m bench --records 10000000 --sections table opening memory $(BENCH_FLAGS)

##@ Prove

crash: $(INSTALLED)  ## every state that a crash may leave opens and holds what it must (SEED=1 CASE=…)
	$(BIN)/python -m tests.crash $(if $(SEED),--seed $(SEED)) $(if $(CASE),--case $(CASE)) $(CRASH_FLAGS)

faults: $(INSTALLED)  ## every call of a scripted run fails, in every way (CASE=…, FAULTS_FLAGS='--every 10')
	$(BIN)/python -m tests.faults $(if $(CASE),--case '$(CASE)') $(FAULTS_FLAGS)

teeth: $(INSTALLED)  ## our code made wrong, place after place: the tests notice each time (TEETH_FLAGS='--traps 1')
	$(BIN)/python -m tests.teeth $(TEETH_FLAGS)

rot: $(INSTALLED)  ## every byte of a database and its copies is another one: right or CorruptionError (SEED=1 CASE=…)
	$(BIN)/python -m tests.rot $(if $(SEED),--seed $(SEED)) $(if $(CASE),--case $(CASE)) $(ROT_FLAGS)

fuzz: $(INSTALLED)  ## every decoder under inputs that nobody meant (SECONDS=60 SEED=1 CASE=…)
	$(BIN)/python -m tests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(if $(CASE),--case $(CASE)) $(FUZZ_FLAGS)

sim: $(INSTALLED)  ## clusters in virtual time: power, partitions, promotions (SEED=1 shows one; RUNS=2000 FIRST=0; LINKS=1: linked primaries, FAILOVER=1: with etcd)
	$(BIN)/python -m tests.sim $(if $(SEED),--seed $(SEED),--runs $(or $(RUNS),200) --first $(or $(FIRST),0)) $(if $(LINKS),--links) $(if $(FAILOVER),--failover) $(SIM_FLAGS)

links: $(INSTALLED)  ## linked primaries killed and stopped under writes, and their logs read (SEED=1 LINKS_FLAGS=…)
	$(BIN)/python -m tests.links $(if $(SEED),--seed $(SEED)) $(LINKS_FLAGS)

failover: $(INSTALLED)  ## a primary killed, stopped, cut off, etcd too; who leads then, and when (ROUNDS=20 SEED=1 FAILOVER_FLAGS='--ttl 3')
	$(BIN)/python -m tests.failover $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) $(FAILOVER_FLAGS)

torture: $(INSTALLED)  ## real nodes killed, stopped, cut off, filled up, promoted (MINUTES=5 SEED=1 ROUND=…)
	$(BIN)/python -m tests.torture $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(ROUND),--round $(ROUND)) $(TORTURE_FLAGS)

soak: $(INSTALLED)  ## three nodes with TLS and users under load, reloaded, restarted, switched over (MINUTES=10)
	$(BIN)/python -m tests.soak $(if $(MINUTES),--minutes $(MINUTES))

upgrade: $(INSTALLED)  ## two nodes of the build of FROM become this one under writes, and go back (FROM=HEAD~100)
	$(BIN)/python -m tests.upgrade --from '$(or $(FROM),HEAD)'

bombs: $(INSTALLED)  ## hostile and huge requests, and the longest PING of others (BOMBS_FLAGS='--only DEL')
	$(BIN)/python -m tests.bombs $(BOMBS_FLAGS)

asan: $(INSTALLED)  ## the kernels' tests and a stress under AddressSanitizer (STRESS_SECONDS=60)
	$(BIN)/python tests/native/sanitized.py address

ubsan: $(INSTALLED)  ## the same under UndefinedBehaviorSanitizer
	$(BIN)/python tests/native/sanitized.py undefined

tsan: $(INSTALLED)  ## the same under ThreadSanitizer
	$(BIN)/python tests/native/sanitized.py thread

# The long ones, one after the other; the next one runs even when one failed.
NIGHTLY := crash faults teeth rot sim links failover torture bombs fuzz asan ubsan tsan bench-large

nightly: $(BENCH_INSTALLED)  ## the long ones: crash, faults, teeth, rot, sim, links, failover, torture, bombs, fuzz, sanitizers, the large benchmark (NIGHTLY=… chooses)
	@failed=; for target in $(NIGHTLY); do \
		echo "== make $$target"; \
		$(MAKE) --no-print-directory $$target SECONDS=$(or $(SECONDS),3600) RUNS=$(or $(RUNS),2000) ROUNDS=$(or $(ROUNDS),100) MINUTES=$(or $(MINUTES),60) || failed="$$failed $$target"; \
	done; test -z "$$failed" || { echo "nightly: failed:$$failed" >&2; exit 1; }; echo "nightly: all of $(NIGHTLY) went through"

##@ Install

# The program and all its libraries go into one private directory, so that nothing on the machine can
# change them; $(PREFIX)/bin/replicad starts it with the interpreter it was built for.
STAGE = deploy/stage.py --destdir "$(DESTDIR)" --prefix "$(PREFIX)" --sysconfdir "$(SYSCONFDIR)" \
	--unitdir "$(UNITDIR)" --sysusersdir "$(SYSUSERSDIR)" --tmpfilesdir "$(TMPFILESDIR)"

install: $(INSTALLED)  ## stage program, units and documents (DESTDIR=… PREFIX=/usr/local)
	$(BIN)/python $(STAGE) --begin
	$(PIP) install --no-build-isolation --no-warn-script-location $(INSTALL_FLAGS) \
		--target "$(DESTDIR)$(PREFIX)/lib/replicad" .
	$(BIN)/python $(STAGE)

uninstall:  ## remove what `make install` put there; configurations, data and the user stay
	$(PYTHON) $(STAGE) --remove

clean:  ## remove everything that was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis replicad/kernels/_kernels.pyi
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV_MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $(PYTHON) is older than Python 3.11; name another with PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The build tools are what pyproject.toml asks for, and the two programs that nanobind's CMake build runs.
$(TOOLS): pyproject.toml constraints.txt $(VENV_MADE)
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], "cmake>=3.18", "ninja", sep="\n")' > $@.txt
	$(PIP) install $(LOCKED) -r $@.txt
	@touch $@

$(INSTALLED): $(TOOLS) $(KERNEL_SOURCES)
	$(PIP) install $(LOCKED) --no-build-isolation --editable '.[test,lint]'
	@touch $@

# A server of S3 to test against. It is large, so only what CI runs asks for it.
$(S3_INSTALLED): $(INSTALLED)
	$(PIP) install $(LOCKED) --no-build-isolation --editable '.[s3-test]'
	@touch $@

# The clients of Node.js that a test drives, in the versions of the lock file. Where npm or the network is
# missing the test says so and is skipped.
ioredis:  ## install the clients of Node.js that a test drives, into build/ioredis
	@$(MAKE) --no-print-directory $(IOREDIS_INSTALLED) || \
		echo "*** WARNING: ioredis could not be installed: the test that drives it is skipped" >&2

$(IOREDIS_INSTALLED): tests/integration/ioredis/package.json tests/integration/ioredis/package-lock.json
	@mkdir -p $(@D)
	cp $^ $(@D)
	cd $(@D) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(BENCH_INSTALLED): $(INSTALLED)
	$(PIP) install $(LOCKED) --no-build-isolation --editable '.[bench]'
	@touch $@

$(COVERAGE_INSTALLED): $(INSTALLED)
	$(PIP) install $(LOCKED) --no-build-isolation --editable '.[coverage]'
	@touch $@
