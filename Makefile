# `make demo` and `make test` each need only Python 3.10+, make and a package index.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python tests/matrix/installing.py
# Instrumentations that the gate has to get along with. They are not always released together with the rest, and want
# exactly their own release of it: so they are put beside the environment, and only the tests for them look there. So
# are the older releases of python-json-logger that an application may have pinned, and what applications with telemetry
# of their own use.
PYTHONS := 3.10 3.13 3.14
OTHERS := $(addprefix opentelemetry-instrumentation-,aiohttp-client dbapi requests sqlite3 starlette urllib urllib3)

# tests/conftest.py says what is shared how.
IN_PROCESSES := --numprocesses 2 --dist loadgroup --no-loadscope-reorder

.PHONY: bench clean demo dist docs edges equality features footprint gates lint matrix pictures test test-fast types upstream

$(VENV)/bin/python:
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/demo.installed: $(VENV)/bin/python pyproject.toml
	@echo "installing tracebaton and what the demo needs (about half a minute)"
	@$(PIP) -e '.[demo]'
	@touch $@

$(VENV)/dev.installed: $(VENV)/bin/python pyproject.toml
	@echo "installing tracebaton and what the tests need (about half a minute)"
	@$(PIP) -e '.[dev]'
	@$(PIP) --no-deps --upgrade --target $(VENV)/other-instrumentations $(OTHERS)
	@$(PIP) --no-deps --upgrade --target $(VENV)/threading-instrumentation opentelemetry-instrumentation-threading
	@$(PIP) --no-deps --upgrade --target $(VENV)/other-json-loggers/3 'python-json-logger>=3,<4'
	@$(PIP) --no-deps --upgrade --target $(VENV)/other-json-loggers/2.0.7 python-json-logger==2.0.7
	@$(PIP) --upgrade --only-binary :all: --target $(VENV)/servers/daphne daphne || echo "no daphne"
	@$(PIP) --no-deps --upgrade --target $(VENV)/company/logging opentelemetry-instrumentation-logging
	@$(PIP) --no-deps --upgrade --target $(VENV)/company/logfire 'logfire>=4,<5.3' executing || echo "no logfire"
	@$(PIP) --no-deps --upgrade --target $(VENV)/company/sentry 'sentry-sdk>=2' || echo "no sentry-sdk"
	@for name in logbook eliot picologging; do $(PIP) --upgrade --only-binary :all: --target $(VENV)/other-loggers/$$name $$name || echo "no $$name"; done
	@touch $@ $(VENV)/demo.installed

demo: $(VENV)/demo.installed  ## three agents, a chat, a failing chat, 200 heartbeats; KEEP=1 stays up
	@$(VENV)/bin/python docker/demo/drive.py $(if $(KEEP),--keep)

test: $(VENV)/dev.installed  ## everything, in two processes; ARGS='-k sigterm' a part; -s or --pdb among them: in one
	@$(VENV)/bin/python -m pytest $(if $(filter -s --pdb,$(ARGS)),,$(IN_PROCESSES)) $(ARGS)

test-fast: $(VENV)/dev.installed  ## what starts no process and no container, in a minute
	@$(VENV)/bin/python -m pytest -q --fast $(IN_PROCESSES) tests/configurator tests/entrypoint tests/bench tests/test_layers.py tests/test_words.py $(ARGS)

matrix: $(VENV)/dev.installed  ## every cell of the version matrix, and every Python; CELL='oldest' those with that in their name
	@$(VENV)/bin/python tests/matrix/run_matrix.py $(CELL)

upstream: $(VENV)/dev.installed  ## upstream's own test suites under tracebaton run and under its launcher; CELL='httpx, newest' a part
	@$(VENV)/bin/python tests/upstream/run_upstream.py $(CELL)

equality: $(VENV)/dev.installed  ## applications with tracing and without, on other Pythons: PYTHONS='3.10 3.14'
	@$(VENV)/bin/python tests/matrix/on_pythons.py $(PYTHONS) -- -q --tb=short tests/equality --variants 'default,100 %'

bench: $(VENV)/dev.installed  ## what tracing costs, into README and docs/performance.md; ARGS=--quick for a first look
	@$(VENV)/bin/python bench/run.py $(ARGS)
	@$(if $(ARGS),true,$(VENV)/bin/python bench/run.py --python 3.13 --parts cpu --rounds 5 --scenarios hello,chat \
	  --contenders bare-sniffio,tracebaton-10,tracebaton-100,upstream-10,upstream-100 --out bench/results/python-3-13)
	@$(if $(ARGS),true,$(VENV)/bin/python bench/publish.py)

features: $(VENV)/dev.installed  ## what tracebaton and others do as they install, into README
	@$(VENV)/bin/python bench/features.py

edges: $(VENV)/dev.installed  ## what hands a trace on, with the oldest and the newest of each library: prints a table
	@EDGES=all $(VENV)/bin/python -m pytest -q $(IN_PROCESSES) tests/e2e/edges $(ARGS)

pictures: $(VENV)/dev.installed  ## the README's pictures of the page, made of the demo
	@PICTURES=1 $(VENV)/bin/python -m pytest -q tests/entrypoint/page/test_page_of_demo.py

docs: $(VENV)/dev.installed  ## what is made of the code: the table of settings, the diagram of the packages
	@$(VENV)/bin/python docs/settings_table.py
	@$(VENV)/bin/python docs/packages_diagram.py

dist: $(VENV)/dev.installed  ## an sdist and a wheel, checked, and the demo from the wheel on each Python at hand
	@$(VENV)/bin/python tests/matrix/dist.py

footprint: $(VENV)/dev.installed  ## the size of a plain installation, and what a traced process imports
	@$(VENV)/bin/python bench/footprint.py

gates: $(VENV)/dev.installed  ## what a request may cost in instructions, by valgrind, beside bare; a minute
	@$(VENV)/bin/python bench/gates.py

lint: $(VENV)/dev.installed
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

types: $(VENV)/dev.installed
	@$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) .venv-bench dist
