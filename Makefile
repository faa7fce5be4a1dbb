# Every target makes .venv by itself, from Python 3.11 or newer and the hash-pinned locks.
#   make demo    watch tickets being handled        make test    all tests
#   make up      server, worker and deployments     make check   lint, format, types, layers
#   make down    stop what `make up` started        make bench   compare architectures (ARGS="--profile full")
#   make lock    pin dependencies anew              make soak    every kill, rivals and chaos, written down
#
# PYTHON=python3.12 names another Python. ARGS is handed on to triptych or pytest.

# The first of these that is new enough.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && exit; done; echo python3)
VENV := .venv
BIN := $(VENV)/bin

# Wheels only: building an archive would fetch build tools that no lock pins.
INSTALL := $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check
# The lock is a constraint as well: pip 23 looks a package with an extra up apart from the same package without it.
LOCKED = $(INSTALL) --require-hashes --only-binary :all: -r $(1) -c $(1)
EDITABLE := $(INSTALL) --no-deps --no-build-isolation --editable .

.PHONY: demo test check bench up down lock soak
.DELETE_ON_ERROR:

demo up down: $(VENV)/.runtime
	$(BIN)/triptych $@ $(ARGS)

bench: $(VENV)/.bench
	$(BIN)/triptych bench $(ARGS)

# Divided by file, since a file's tests share what is dear. (By group would share more, but pytest 9.2 does not tell
# pytest-xdist 3.8 the groups.) For one test alone, or a debugger: make test SIDE_BY_SIDE= ARGS=...
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
test: $(VENV)/.dev
	$(BIN)/pytest $(SIDE_BY_SIDE) $(if $(TRIPTYCH_SEED),--hypothesis-seed=$(TRIPTYCH_SEED)) $(ARGS)

# Types are checked of the benchmark's arms too, against the packages that they use.
check: $(VENV)/.dev $(VENV)/.bench
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/pyright

# TRIPTYCH_SEED=... seeds rivals and chaos; the others take every point. That of fixes needs Docker and both images.
soak: $(VENV)/.dev $(VENV)/.bench
	$(BIN)/python -m tests.resume.soak $(ARGS)
	$(BIN)/python -m tests.resume.soak_rivals
	$(BIN)/python -m tests.e2e.soak_chaos
	$(BIN)/python -m tests.e2e.hands.soak_killed_fixes
	TRIPTYCH_SAMPLE=all $(BIN)/pytest tests/unit/benchmarks/arms tests/contract/test_tau_retail_durable.py

# Keeps the versions of today's locks where the bounds allow it; UPGRADE=1 takes the newest.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
lock: $(BIN)/uv
	$(COMPILE) pyproject.toml --all-extras --group build --output-file requirements.lock
	$(COMPILE) pyproject.toml --all-extras --group dev --constraint requirements.lock --output-file requirements-dev.lock
	$(COMPILE) pyproject.toml --all-extras --group bench --constraint requirements.lock --output-file requirements-bench.lock
	$(COMPILE) deployments/egress/requirements.in --override deployments/egress/overrides.txt \
		--output-file deployments/egress/requirements.lock

# uv as the dev lock pins it, without the rest of that lock, which may be what is to be mended.
$(BIN)/uv: | $(VENV)/.made
	sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.lock > $(VENV)/uv.lock
	$(call LOCKED,$(VENV)/uv.lock)

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Triptych needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." >&2; \
		echo "Name a newer one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

# Installing the locks and installing Triptych are two stamps: pyproject.toml changes more often than what it depends on.
$(VENV)/.runtime-lock: requirements.lock | $(VENV)/.made
	@echo "Installing Triptych's dependencies into $(VENV): about a minute, once."
	$(call LOCKED,requirements.lock)
	touch $@

$(VENV)/.dev-lock: requirements-dev.lock | $(VENV)/.made
	@echo "Installing Triptych's dependencies and tools into $(VENV): about a minute, once."
	$(call LOCKED,requirements-dev.lock)
	touch $@ $(VENV)/.runtime-lock

# The rivals of the benchmark, beside what is there.
$(VENV)/.bench: requirements-bench.lock | $(VENV)/.runtime
	@echo "Installing what the benchmark compares into $(VENV): half a minute, once."
	$(call LOCKED,requirements-bench.lock)
	touch $@

$(VENV)/.runtime: $(VENV)/.runtime-lock pyproject.toml
	$(EDITABLE)
	touch $@

$(VENV)/.dev: $(VENV)/.dev-lock pyproject.toml
	$(EDITABLE)
	touch $@ $(VENV)/.runtime
