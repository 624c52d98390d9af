# Each target works in a fresh clone: it makes .venv, installs, and does its job.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
OTHERS := .venv-others

.DEFAULT_GOAL := help
.PHONY: help demo test slow check lowest others package docs bench soak fuzz example clean
N ?= 100
SEED ?= 0
# The workers share the cores; threads of linear algebra beside them cost more than they gain.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -q
# Where this is set each process compiles nnexp anew, which takes a sixth of its start.
unexport PYTHONDONTWRITEBYTECODE

help:
	@echo "make demo     install into .venv, run the first experiment, say where its report is"
	@echo "make test     install what tests need, and run them"
	@echo "make slow     what takes longer: kills, full disks, further algorithms and stores, simulations"
	@echo "make check    format, lint, types and tests, as a reviewer will"
	@echo "make lowest   what people do, with the lowest versions that are allowed: the same numbers as with the newest"
	@echo "make others   sktime, skforecast and imbalanced-learn with the estimators, in an environment of their own"
	@echo "make docs     the documentation, with its examples run, as pages to open"
	@echo "make package  build what a package index gets, install it and look at it"
	@echo "make bench    print the benchmarks: speed, what evolution needs, what sweeps cost"
	@echo "make soak     faults at operations on files, signals and killed workers: N=1000 SEED=0"
	@echo "make fuzz     damaged files given to what reads them: N=20000 SEED=0"
	@echo "make example  make results/example anew"

# Installed is what a stamp newer than pyproject.toml says.
$(VENV)/installed: pyproject.toml
	@echo "Installing into $(VENV); this takes about a minute."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo "Installing what tests need; this takes about a minute."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed
	$(BIN)/nnexp run experiments/quickstart.toml
	@echo "\`source .venv/bin/activate\` makes nnexp available in this shell."

test: $(VENV)/installed-dev
	$(PYTEST)

slow: $(VENV)/installed-dev
	$(PYTEST) -m slow

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

$(LOWEST)/installed: $(VENV)/installed-dev tests/environments/versions.py
	@echo "Installing the lowest versions into $(LOWEST); this takes about a minute."
	@$(PYTHON) -m venv $(LOWEST)
	@$(BIN)/python -m tests.environments.versions > $(LOWEST)/constraints.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(LOWEST)/constraints.txt --editable .
	@touch $@

lowest: $(LOWEST)/installed
	$(BIN)/python -m tests.environments.lowest write $(LOWEST)/newest.json > $(LOWEST)/newest.log
	$(LOWEST)/bin/python -m tests.environments.lowest write $(LOWEST)/lowest.json > $(LOWEST)/lowest.log
	$(BIN)/python -m tests.environments.lowest compare $(LOWEST)/newest.json $(LOWEST)/lowest.json

$(OTHERS)/installed: pyproject.toml
	@echo "Installing sktime, skforecast and imbalanced-learn into $(OTHERS); this takes about a minute."
	@$(PYTHON) -m venv $(OTHERS)
	@$(OTHERS)/bin/python -m pip install --quiet --disable-pip-version-check --editable . sktime skforecast imbalanced-learn
	@touch $@

others: $(OTHERS)/installed
	$(OTHERS)/bin/python -W ignore -m tests.environments.others

docs: $(VENV)/installed-dev
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	$(BIN)/sphinx-build -q -W -b doctest docs docs/_build/doctest
	@echo "docs/_build/html/index.html"

package: $(VENV)/installed-dev
	$(BIN)/python -m tests.environments.package

bench: $(VENV)/installed-dev
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.speed
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.evolution
	OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.sweeps against_optuna overhead asks

# What these two watch or break are operations on files: Python's own stay out of it.
soak: $(VENV)/installed-dev
	PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m tests.soak --cases $(N) --seed $(SEED)

fuzz: $(VENV)/installed-dev
	PYTHONDONTWRITEBYTECODE=1 $(BIN)/python -m tests.fuzz --cases $(N) --seed $(SEED)

# The committed example: a small experiment, its tables, its report and a picture of it.
example: $(VENV)/installed-dev
	rm -rf results/example
	$(BIN)/nnexp run experiments/example.toml
	$(BIN)/python -m tests.report.picture results/example

clean:
	rm -rf $(VENV) $(LOWEST) $(OTHERS) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
