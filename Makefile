# The main targets are `report` and `test`; `make help` lists all.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# one mark per extra: a command installs only what it needs
INSTALLED := $(VENV)/.installed
INSTALLED_SERVER := $(VENV)/.installed-server
INSTALLED_DEV := $(VENV)/.installed-dev
PIP_INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
export DAGSTER_HOME := $(CURDIR)/.storemon/dagster
export DAGSTER_DISABLE_TELEMETRY := yes
# `dagster job execute` warns before each run that `dg launch`, from another package, supersedes it
export PYTHONWARNINGS := ignore:Function `job_execute_command` is superseded

.PHONY: help
help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with PYTHON=python3.x"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV), which takes a minute the first time"
	@$(PIP_INSTALL) .
	@touch $@

# extras are added to the same .venv
$(VENV)/.installed-%: $(INSTALLED)
	@echo "Adding what only the extra $* needs"
	@$(PIP_INSTALL) '.[$*]'
	@touch $@

$(DAGSTER_HOME)/dagster.yaml: dagster.yaml
	@mkdir -p $(DAGSTER_HOME)
	@cp $< $@

.PHONY: install
install: $(INSTALLED_DEV)  ## create .venv with all dependencies

.PHONY: report
report: $(INSTALLED) $(DAGSTER_HOME)/dagster.yaml  ## ingest data/ and make a report
	@$(BIN)/dagster job execute -m storemon_pipeline.definitions -j ingest_and_report_job
	@$(BIN)/python -c "from storemon_pipeline.settings import Settings; print('The report is in', Settings().latest_report_path)"

.PHONY: dev
dev: $(INSTALLED_SERVER) $(DAGSTER_HOME)/dagster.yaml  ## run Dagster's UI and daemon, and the API, on 127.0.0.1
	@exec $(BIN)/python -m storemon_pipeline.dev

# run the tests of a file, and those of the deployment, in one process: they share slow fixtures
PYTEST := $(BIN)/pytest -q -n 2 --dist loadgroup --no-loadscope-reorder

.PHONY: test
test: lint covered-tests  ## lint, types, tests, coverage

# with -j, the tests use the core that mypy leaves idle
.PHONY: covered-tests
covered-tests: $(INSTALLED_DEV)
	@$(BIN)/coverage erase
	$(PYTEST) --cov --cov-report=
	$(BIN)/coverage report

.PHONY: test-fast
test-fast: $(INSTALLED_DEV)  ## tests that need no server, browser or process; a minute
	$(PYTEST) --hypothesis-profile=fast -m 'not slow and not process' storemon_pipeline \
		$(addprefix storemon_pipeline_tests/,uptime evaluation ingestion storage pages)

.PHONY: test-spark
test-spark: $(INSTALLED_DEV) $(VENV)/.installed-spark  ## tests on a Spark cluster; installs PySpark, needs Java
	$(BIN)/pytest -q -m spark storemon_pipeline_tests/defs/test_spark.py

.PHONY: bench
bench: $(INSTALLED_DEV)  ## compare with other programs; takes twenty minutes
	$(BIN)/python -m benchmarks.run $(if $(DATA),--data $(DATA))

.PHONY: lint
lint: $(INSTALLED_DEV)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: sample
sample: $(INSTALLED)  ## regenerate data/
	$(BIN)/python -m storemon_pipeline.sample_data data

.PHONY: clean
clean:  ## remove everything that the other commands created
	rm -rf $(VENV) .storemon reports .mypy_cache .ruff_cache .hypothesis .coverage*
