# The two commands of the README, and what developers type. Every target installs what it needs.

PYTHON ?= python3
BIN = .venv/bin
TENSORFLOW_BIN = .venv-tensorflow/bin
# Two tests at a time, each torch on one core.
TEST_JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-frameworks lint bench clean

help:
	@echo "make demo             install into .venv and run the main job on a small example"
	@echo "make test             install what the tests need and run them"
	@echo "make test-frameworks  the tests against the real TensorFlow, in .venv-tensorflow"
	@echo "make lint             ruff and mypy"
	@echo "make bench            speed and memory, beside TensorFlow and torch"
	@echo "make clean            remove the environments and what was built"

demo: .venv/installed
	$(BIN)/effconvert demo --force

test: .venv/ready-for-tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadgroup $(PYTEST_ARGS)

test-frameworks: .venv-tensorflow/installed
	$(TENSORFLOW_BIN)/python -m pytest -c tests/frameworks/pytest.ini tests/frameworks $(PYTEST_ARGS)

lint: .venv/ready-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	sh scripts/typecheck.sh $(BIN)

bench: .venv-tensorflow/installed
	$(TENSORFLOW_BIN)/python benchmarks/tensorflow_to_pytorch.py

.venv/installed: pyproject.toml constraints.txt scripts/install.sh scripts/install_torch.py
	sh scripts/install.sh .venv $(PYTHON) .
	touch $@

.venv/ready-for-tests: .venv/installed
	sh scripts/install.sh .venv $(PYTHON) ".[test]"
	touch $@

.venv-tensorflow/installed: pyproject.toml constraints.txt scripts/install.sh scripts/install_torch.py
	sh scripts/install.sh .venv-tensorflow $(PYTHON) ".[test]" tensorflow-cpu
	touch $@

clean:
	rm -rf .venv .venv-tensorflow build *.egg-info effconvert-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
