# make demo and make test each do all of their own set-up.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PY_CHECK := import sys; sys.exit(sys.version_info < (3, 12))

.PHONY: demo test slow lint figures clean

demo: $(BIN)/.installed
	$(BIN)/bayesmoe demo --out demo

test: $(BIN)/.installed
	$(BIN)/python -m pytest -n auto --dist loadscope

slow: $(BIN)/.installed
	$(BIN)/python -m pytest -m slow -n auto

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

figures: $(BIN)/.installed
	$(BIN)/bayesmoe figures --out figures

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .ruff_cache

# The first Python >= 3.12 among python3, python3.13, python3.12 and uv's.
$(BIN)/.installed: pyproject.toml constraints.txt
	@set -e; found=; \
	for python in python3 python3.13 python3.12; do \
	  if "$$python" -c '$(PY_CHECK)' 2>/dev/null; then found="$$python"; break; fi; \
	done; \
	if [ -n "$$found" ]; then "$$found" -m venv --clear $(VENV); \
	elif command -v uv >/dev/null 2>&1; then uv venv --quiet --clear --seed --python '>=3.12' $(VENV); \
	else echo "bayesmoe needs Python 3.12 or newer: install python3.13 or uv, then run make again" >&2; exit 2; fi; \
	echo "installing into $(VENV) ..."; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lint]'; \
	touch $@
