# make demo: install, run everything on a simulated region, say where the report is.
# make test: install, then every test and check.

PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)

.PHONY: demo test install lint types unit benchmarks clean

demo: install
	snakemake --cores $(CORES)
	@echo "Report: $(CURDIR)/results/report/demo/index.html"

test: lint types unit

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python %d.%d found; 3.11 or newer is needed." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch .venv/installed

lint: install
	ruff check .
	ruff format --check .
	snakefmt --check --line-length 100 workflow rules
	snakemake --lint

types: install
	mypy

unit: install
	pytest --numprocesses 2 --dist loadscope

benchmarks: install
	$(BIN)/pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[benchmarks]'
	# breizhcrops asks for a whole notebook server; its networks need torch alone.
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps breizhcrops==0.0.4.1
	for script in benchmarks/[a-z]*.py; do python $$script || exit 1; done

clean:
	rm -rf .venv .snakemake .mypy_cache .ruff_cache .pytest_cache
