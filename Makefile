# Everything a newcomer or CI runs. Needs Python >= 3.11, git and make; the rest comes from requirements.lock into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))

.PHONY: help demo serve test check bench crash bundle lock
.DELETE_ON_ERROR:

help:
	@echo "make demo    settle a day's visits against the simulated centre and print what happened"
	@echo "make serve   run the service with ./his-adapter.toml (his-adapter init makes one)"
	@echo "make test    the whole test suite"
	@echo "make check   format, lint, types, floors, made pages"
	@echo "make bench   measures what a person waits for and prints a table"
	@echo "make crash   kills real processes at least 200 times per kind of ledger and counts what became of the money"
	@echo "make bundle  a folder of wheels for a closed network (Linux x64 and Windows x64), into dist/bundle"
	@echo "make lock    write requirements.lock anew from pyproject.toml (needs a package index)"

demo: $(READY)
	@$(BIN)/his-adapter demo

serve: $(READY)
	@$(BIN)/his-adapter serve $(SERVE)

# Two processes: the suite is small enough for any laptop, and a file's tests stay together so fixtures are built once.
test: $(READY)
	@$(BIN)/python -m pytest -n 3 --dist loadfile

bench: $(READY)
	@$(BIN)/python bench/startup.py
	@$(BIN)/python bench/hanging.py
	@$(BIN)/python bench/translation.py
	@command -v npm >/dev/null && npm install --prefix bench --no-package-lock --loglevel=error || echo "no npm: no load generator" >&2
	@$(BIN)/python bench/throughput.py $(BENCH)

crash: $(READY)
	@$(BIN)/python -m tests.crash.rig $(CRASH)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32
	$(BIN)/lint-imports
	$(BIN)/python -m adapter_core.standard.reference --check
	$(BIN)/python -m adapter_core.operations.config_file --check
	$(BIN)/python -m adapter_core.sidecar.openapi --check
	$(BIN)/python -m adapter_core.province.reasons_page --check
	$(BIN)/python -m adapter_core.testing.dialect_reference --check
	$(BIN)/python .ci/third_party.py --check
	$(BIN)/uv pip check --python $(BIN)/python

# One folder of wheels for Linux x64 and Windows x64 that installs with no network.
bundle: $(READY)
	@$(BIN)/python .ci/bundle.py $(BUNDLE)

# Keeps the versions of the present lock: UPGRADE=--upgrade takes the newest, UPGRADE="--upgrade-package NAME" one of them.
lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --group dev --group bench --universal --python-version 3.11 --generate-hashes \
		--no-header --quiet $(UPGRADE) --output-file requirements.lock
	$(BIN)/python .ci/third_party.py

# uv installs the lock in a tenth of pip's time, but does not read pip's settings: where only pip knows the way to a
# package index (a hospital's or a campus mirror), pip does the work.
$(READY): requirements.lock pyproject.toml $(PLUGINS:=/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "his-adapter needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up $(VENV): this takes a few seconds, more on a slow network ..." >&2
	@$(PYTHON) -m venv $(VENV)
	@awk '/^[a-z]/ {ours = /^uv==/} ours' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r $(VENV)/uv.lock
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock || \
		$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-index --no-deps --no-build-isolation \
		-e . $(addprefix -e ,$(PLUGINS))
	@touch $@
