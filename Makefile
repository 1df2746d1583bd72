# Every target does its own set-up in .venv; it is repeated only when pyproject.toml or
# constraints.txt changes. PYTHON chooses the interpreter: `make test PYTHON=python3.12`.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
SIGMAS := 0.25 0.50 1.00
NAME := digits

unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo zoo test lint docs bench clean

help:
	@echo 'make demo    train, certify and plot CAT-RS on handwritten digits, into demo/'
	@echo 'make zoo     the bundles that come with rszoo, by the pipeline of dvc.yaml'
	@echo 'make test    lint, types, import rules and tests'
	@echo 'make lint    lint, types and import rules'
	@echo 'make docs    the documentation as a site, into site/'
	@echo 'make bench   every script in bench/'
	@echo 'make clean   remove .venv, caches and demo/'

# The exact versions are known to fit one platform and one Python; elsewhere the bounds of
# pyproject.toml decide. Bytecode is written on first import, not for all files at once, and
# pip is renewed first: together this halves the set-up.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "expected Python 3.10 or newer, got " + sys.version.split()[0] + "; name another: make PYTHON=python3.11")'
	@echo 'setting up .venv (a minute or two)'
	@$(PYTHON) -m venv .venv
	@set -e; \
	tested=$$($(BIN)/python -c 'import sys, sysconfig; print(sys.version_info[:2] == (3, 11) and sysconfig.get_platform() == "linux-x86_64")'); \
	pip="$(BIN)/python -m pip install -qq --disable-pip-version-check --no-compile"; \
	if [ "$$tested" = True ]; then \
		$$pip --constraint constraints.txt --upgrade pip; \
		$$pip --constraint constraints.txt --build-constraint constraints.txt --editable '.[dev]'; \
	else \
		$$pip --upgrade pip; \
		$$pip --editable '.[dev]'; \
	fi
	@touch $@

# What is there is kept, and what was interrupted goes on; `rm -r demo` begins anew.
demo: $(READY)
	mkdir -p demo
	$(BIN)/rszoo train recipes/cat_rs.yaml --out demo/runs --resume --overwrite
	for sigma in $(SIGMAS); do \
		$(BIN)/rszoo certify --model demo/runs/digits-cat_rs-$$sigma --n 10000 --skip 1 \
			--out demo/digits-cat_rs-$$sigma.tsv --resume --overwrite || exit 1; \
	done
	$(BIN)/rszoo report demo/*.tsv --plot demo/curve.png

zoo: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro
	rm -rf zoo/rszoo/builtin/$(NAME)-*
	cp -R models/$(NAME)-* zoo/rszoo/builtin/

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

bench: $(READY)
	@set -- bench/[!_]*.py; \
	if [ ! -e "$$1" ]; then echo 'no scripts in bench/'; exit 0; fi; \
	for script; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

clean:
	rm -rf .venv demo site dist build .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
