# Two commands do everything: `make demo` and `make test`. Each makes .venv where there is none and brings it up to date.
PYTHON ?= python3
# EXTRAS=dev,notebooks,torch,mpi,gpu also runs the tests of PyTorch, MPI and CuPy's signatures (large downloads).
EXTRAS ?= dev,notebooks
BIN := .venv/bin
comma := ,

.DEFAULT_GOAL := help
.PHONY: help demo mnist test kills mutants bench learning notebooks docs lint format clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

.venv/.python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tinydiff needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	touch $@

.venv/.installed: .venv/.python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/.installed-%: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(subst -,$(comma),$*)]'
	touch $@

# One BLAS thread: at the demo's sizes two gain a tenth, and on a busy machine they lose a factor of ten.
demo: .venv/.installed  ## train on an exact toy, sample and measure against the truth (a minute); figures in runs/demo
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tinydiff demo

mnist: .venv/.installed  ## train on MNIST (9 minutes on two cores), draw digits and judge them; a run that was stopped goes on
	$(BIN)/python -m tinydiff train mnist $(if $(wildcard runs/mnist/config.json),--resume)

test: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## all tests, on two cores
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

kills: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## kill a run fifty times at random moments; it must end in the same bits
	TINYDIFF_KILLS=50 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest tests/app/test_kills.py

mutants: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## break each operator and constant of the mathematics (hours; goes on where it stopped)
	$(BIN)/python tests/mutation.py

bench: .venv/.installed-dev-bench  ## measure speed beside PyTorch and JAX, growth and memory (15 minutes), and that of check
	$(BIN)/python benchmarks/speed.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/check.py

learning: .venv/.installed  ## measure how well the defaults learn and what each choice gives (an hour; goes on where it stopped)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/learning.py

notebooks: .venv/.installed-notebooks  ## make the course from notebooks/src, executed, and its solutions; NAMES="05 11" for some
	OPENBLAS_NUM_THREADS=1 $(BIN)/python notebooks/build.py $(NAMES)

docs: .venv/.installed-dev-docs  ## the site, in docs/_build/html, with every link followed
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build/html
	$(BIN)/python docs/links.py docs/_build/html
	@echo 'Open docs/_build/html/index.html, or serve it: $(BIN)/python -m http.server --directory docs/_build/html'

lint: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## style, types and the layers of the package
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## rewrite the source in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## remove what make has made
	rm -rf .venv runs mutants docs/_build docs/identities docs/check docs/learning docs/speed build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
