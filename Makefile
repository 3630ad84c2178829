# Two commands do everything: `make demo` and `make test`. Each makes .venv where there is none and brings it up to date.
PYTHON ?= python3
# EXTRAS=dev,notebooks,torch,mpi,gpu also runs the tests of PyTorch, MPI and CuPy's signatures (large downloads).
EXTRAS ?= dev,notebooks
BIN := .venv/bin
comma := ,

.DEFAULT_GOAL := help
.PHONY: help demo mnist test test-all lowest grading dist kills mutants bench peers learning notebooks docs live test-live lint format clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

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
demo: .venv/.installed-app  ## train on an exact toy, sample and measure against the truth (a minute or two); figures in runs/demo
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tinydiff demo

mnist: .venv/.installed-app  ## train on MNIST (9 minutes on two cores), then draw digits and judge them; a run that was stopped goes on
	$(BIN)/python -m tinydiff train mnist $(if $(wildcard runs/mnist/config.json),--resume)

test: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## the tests, on two cores (five to ten minutes)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal

test-all: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## nightly: the slow tests too, more examples, every line and branch
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist worksteal -m "" --hypothesis-profile=all --cov

# From a wheel, with tests/ alone beside it, the lowest versions that pyproject.toml allows, cp1252, and no more of Python,
# libraries and network than tests/bare leaves. localedef is Debian's libc-bin, and CP1252 in its package locales.
lowest: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## the tests on a bare machine and the lowest versions (CONTRIBUTING.md)
	rm -rf .venv-lowest
	$(BIN)/uv venv --quiet --python $(BIN)/python .venv-lowest
	$(BIN)/uv pip install --python .venv-lowest --resolution lowest-direct -r pyproject.toml --extra suite
	$(BIN)/uv build --quiet --wheel --out-dir .venv-lowest/wheel
	$(BIN)/uv pip install --quiet --python .venv-lowest --no-deps .venv-lowest/wheel/*.whl
	localedef -f CP1252 -i en_US .venv-lowest/en_US.CP1252
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && cp -r tests "$$folder" && cd "$$folder" && \
	env -u TINYDIFF_MNIST_DIR LOCPATH=$(CURDIR)/.venv-lowest LC_ALL=en_US.CP1252 PYTHONUTF8=0 PYTHONWARNDEFAULTENCODING=1 \
	  PYTHONPATH="$$folder/tests/bare" OPENBLAS_NUM_THREADS=1 $(CURDIR)/.venv-lowest/bin/python -m pytest -q \
	  --numprocesses 2 --dist worksteal --hypothesis-profile=few -o markers=slow -m 'not slow' --disable-warnings \
	  --ignore=tests/identities/test_bugs.py --ignore=tests/check/test_specs.py --ignore=tests/check/test_kinds.py \
	  --ignore=tests/check/test_examined.py --ignore=tests/test_memory.py  # no version decides these

# An environment for each, since they hold Jupyter's libraries back, and a teacher's has neither pytest nor the course.
.venv-nbgrader/.installed .venv-otter/.installed: .venv-%/.installed: .venv/.python pyproject.toml
	$(BIN)/python -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

grading: .venv/.installed-$(subst $(comma),-,$(EXTRAS)) .venv-nbgrader/.installed .venv-otter/.installed  ## nbgrader and Otter on honest and dishonest submissions (two minutes)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m slow --numprocesses 2 --dist loadfile tests/grading

# PyPI's own checks, the limits of size, and what a stranger has: the wheel alone, with NumPy and array-api-compat.
dist: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## the sdist and the wheel, in dist, checked and tried (a minute)
	rm -rf dist .venv-dist
	$(BIN)/uv build --quiet --out-dir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(BIN)/uv venv --quiet --python $(BIN)/python .venv-dist
	$(BIN)/uv pip install --quiet --python .venv-dist dist/*.whl
	$(BIN)/python tests/distribution.py dist .venv-dist

kills: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## kill a run fifty times at random moments; it must end in the same bits
	TINYDIFF_KILLS=50 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m slow tests/app/test_kills.py

mutants: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## break each operator and constant of the mathematics (hours; goes on where it stopped; SAMPLE=400 for some)
	$(BIN)/python tests/mutation.py $(if $(SAMPLE),--sample $(SAMPLE))

bench: .venv/.installed-dev-bench  ## measure speed and memory beside PyTorch and JAX, how both grow, the speed of check, the laws of guidance and a wide table (half an hour)
	$(BIN)/python benchmarks/speed.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/growth.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/sampling.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/check.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/guidance.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/wide_table.py

# An environment of its own: the libraries bring PyTorch and what they need with it, 6 GB.
.venv-peers/.installed: .venv/.python benchmarks/peers/requirements.txt pyproject.toml
	$(BIN)/python -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --editable . -r benchmarks/peers/requirements.txt
	touch $@

peers: .venv-peers/.installed  ## train six other libraries' models for the same CPU seconds, and judge them (two hours; goes on where it stopped)
	.venv-peers/bin/python benchmarks/peers/run.py

learning: .venv/.installed-app  ## measure how well the defaults learn and what each choice gives (an hour; goes on where it stopped)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/learning.py

notebooks: .venv/.installed-notebooks  ## make the course from notebooks/src, executed, and its solutions, one on each core; NAMES="05 11" for some
	OPENBLAS_NUM_THREADS=1 $(BIN)/python notebooks/build.py $(NAMES)

docs: .venv/.installed-dev-docs  ## the site, in docs/_build/html, with every link followed
	$(BIN)/sphinx-build -q -W --keep-going --jobs auto -d docs/_build/doctrees docs docs/_build/html
	$(BIN)/python docs/links.py docs/_build/html
	@echo 'Open docs/_build/html/index.html, or serve it: $(BIN)/python -m http.server --directory docs/_build/html'

live: docs  ## the site with live cells, in which Python runs in the browser (Node 20.19 or newer; a minute)
	$(BIN)/python browser/build.py docs/_build/html
	cd browser && npm run --silent check

.venv-live/.installed: .venv/.python pyproject.toml
	$(BIN)/python -m venv .venv-live
	.venv-live/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[live]'
	touch $@

test-live: live .venv-live/.installed  ## live cells in a real browser, Chromium (two minutes)
	.venv-live/bin/python -m pytest -c /dev/null --rootdir browser browser/test_live.py

lint: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## style, types and the layers of the package
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --quiet .github

format: .venv/.installed-$(subst $(comma),-,$(EXTRAS))  ## rewrite the source in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## remove what make has made
	rm -rf .venv .venv-dist .venv-live .venv-lowest .venv-nbgrader .venv-otter .venv-peers runs mutants browser/.cache browser/node_modules browser/screenshots docs/_build docs/identities docs/check docs/guidance docs/inverse docs/learning docs/matching docs/peers docs/sampling docs/speed docs/variances build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
