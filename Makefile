# The whole of Bongsu for a newcomer: `make run`, `make test`, `make check`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check format clean

$(VENV)/.ready-run: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Bongsu needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.ready-test: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	touch $@

run: $(VENV)/.ready-run ## the whole centre on embedded engines, with a demo feed
	$(BIN)/bongsu up --demo

test: $(VENV)/.ready-test ## every test; Debian packages the tests use are installed where that is possible
	sh tests/provision.sh
	$(BIN)/pytest --numprocesses auto --dist loadfile

check: $(VENV)/.ready-test ## lint, types, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## the environment and caches; data under var/ stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
