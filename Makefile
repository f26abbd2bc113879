# make demo and make test each do all of their own set-up.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PY_CHECK := import sys; sys.exit(sys.version_info < (3, 12))

.PHONY: demo test browser slow sweeps sweep lint figures docs clean

demo: $(BIN)/.package
	$(BIN)/bayesmoe demo --out demo

test: $(BIN)/.installed browser
	$(BIN)/python -m pytest -n auto --dist loadscope

# Debian's Chromium, where it may be installed; without one the tests that need it are skipped.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && echo "installing Chromium ..." && timeout 120 apt-get update -qq && \
	  timeout 600 apt-get install -y -qq --no-install-recommends chromium >/dev/null; } || \
	echo "no Chromium, and it could not be installed: the tests that need a browser are skipped" >&2

slow: $(BIN)/.installed
	$(BIN)/python -m pytest -m 'slow and not sweep' -n auto --dist loadscope

sweeps: $(BIN)/.installed
	$(BIN)/python -m pytest -m sweep -n auto

# Trains what sweep/runs.jsonl lacks; SMALL=1 trains six of its runs again and compares the losses.
sweep: $(BIN)/.package
	$(BIN)/python -m sweep $(if $(SMALL),--small)

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

figures: $(BIN)/.installed
	$(BIN)/bayesmoe figures --out figures

# Material announces its successor in the tone of a warning.
docs: $(BIN)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) demo site examples/out build dist .pytest_cache .ruff_cache

# The first Python >= 3.12 among python3, python3.13, python3.12 and uv's.
$(BIN)/.package: pyproject.toml constraints.txt
	@set -e; found=; \
	for python in python3 python3.13 python3.12; do \
	  if "$$python" -c '$(PY_CHECK)' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -n "$$found" ]; then "$$found" -m venv --clear $(VENV); \
	elif command -v uv >/dev/null 2>&1; then uv venv --quiet --clear --seed --python '>=3.12' $(VENV); \
	else echo "bayesmoe needs Python 3.12 or newer: install python3.13 or uv, then run make again" >&2; exit 2; fi; \
	echo "installing into $(VENV) ..."; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .; \
	touch $@

$(BIN)/.installed: $(BIN)/.package
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lint]'
	touch $@

$(BIN)/.docs: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@
