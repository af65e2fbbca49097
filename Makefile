# `make demo` and `make test` do all the set-up themselves; `make check` is what has to pass before a commit.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
LABEL_VENV := .venv-label
PYTHONS := python3.11 python3.12 python3.13

PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# nothing is installed that the locks have no hash of: they name every package (hence no dependencies), and what has no wheel
# is built by the setuptools among them
LOCKED  = $(PIP) --require-hashes --no-deps --no-build-isolation
LOCKS  := $(wildcard .ci/requirements/*.lock)

# threads that wait must not spin: torch shares the cores with data workers
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: setup lock demo test test-long stress compare coverage mutation test-label test-pythons check lint types bench bundle docs clean
.DEFAULT_GOAL := check

setup: $(READY)

# a build for the CPU where pip is shown one, by an index or a folder of the user's, else PyPI's, with its CUDA on Linux;
# of base.lock comes setuptools, which builds the rest
$(READY): pyproject.toml $(LOCKS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(LOCKED) -r .ci/requirements/torch_cpu.lock 2>/dev/null || $(LOCKED) -r .ci/requirements/torch.lock
	if $(BIN)/python -c "from importlib.metadata import version; raise SystemExit('+' in version('torch'))"; then \
		$(LOCKED) -r .ci/requirements/cuda.lock; fi
	$(LOCKED) -r .ci/requirements/base.lock
	$(LOCKED) -r .ci/requirements/dev.lock
	$(PIP) --no-deps --no-build-isolation -e .
	touch $(READY)

# versions and hashes anew, with the versions of constraints.txt where they still suit; UPGRADE="--upgrade-package zarr"
# takes the newest zarr, UPGRADE=--upgrade the newest of everything
lock: setup
	$(LOCKED) -r .ci/requirements/pins.lock
	$(BIN)/python -m tests.requirements.renew $(UPGRADE)

demo: setup
	$(BIN)/python -m scripts demo --output demo

# files go side by side, each with one thread: two of two threads each would wait for each other. In order of their names
# tests/bundle, with its trainings, begins early; xdist's own order would leave it for the end, when one process idles
test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10

# pages carried out from end to end, trainings on real volumes, the documentation site
test-long: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long -n 2 --dist loadfile --no-loadscope-reorder --durations=10

# what is too long for every change: kills at random moments, thousands of malformed configs and headers; and the tests of
# properties with examples drawn anew (Hypothesis' own profile), which other tests keep
stress: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m stress -n 2 --dist load --durations=10 --timeout 3000 -rA
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "hypothesis and not stress" --hypothesis-profile default -n 2 --dist loadfile

# a server of MONAI Label in an environment of its own: what it asks for excludes what the bundle wants
test-label: setup $(LABEL_VENV)/.ready
	POLYTOME_LABEL_PYTHON=$(abspath $(LABEL_VENV))/bin/python $(BIN)/python -m pytest tests/label

$(LABEL_VENV)/.ready: constraints.txt tests/label/requirements.txt
	test -x $(LABEL_VENV)/bin/python || $(PYTHON) -m venv $(LABEL_VENV)
	$(LABEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(LABEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/label/requirements.txt
	touch $@

# the tests on every Python that there is, each in an environment of its own; -V, since a name may be there that runs nothing
test-pythons: $(foreach python,$(PYTHONS),$(if $(shell $(python) -V 2>/dev/null),test-$(python)))

test-python3.%:
	$(MAKE) test test-long PYTHON=python3.$* VENV=.venv-3.$*

bundle: setup
	$(BIN)/python -m scripts bundle --overwrite

# the documentation site, offline; a warning is an error
docs: setup
	$(BIN)/python -m tests.documentation.build site

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

check: lint types test

# of the programs left out one installs the package anew, one other packages (reference_systems), some take an hour
# (hippocampus with nnU-Net, mutation, line_coverage), and estimate is made from the results of others
ALONE := first_prediction reference_systems hippocampus nnunet_reference mutation mutation_tests line_coverage estimate

bench: setup
	for program in $(filter-out $(ALONE:%=benchmarks/%.py),$(wildcard benchmarks/*.py)); do $(BIN)/python $$program || exit 1; done
	$(BIN)/python benchmarks/estimate.py

# this bundle beside nnU-Net, vesuvius and CellMap's loader, each in an environment of its own; several hours
compare: setup
	$(BIN)/python benchmarks/hippocampus.py
	$(BIN)/python benchmarks/reference_systems.py

# which lines and branches of the package the tests run
coverage: setup
	$(BIN)/python benchmarks/line_coverage.py

# how many small changes of the code the tests notice, in an hour
mutation: setup
	$(LOCKED) -r .ci/requirements/mutation.lock
	$(BIN)/python benchmarks/mutation.py

clean:
	rm -rf $(VENV) $(LABEL_VENV) .venv-3.* .venv-nnunet .venv-reference demo dist site bundle/output bundle/data
