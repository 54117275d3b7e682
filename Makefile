# Everything that a developer types; `make` alone lists it.
# All of it happens in $(VENV), which is made once and brought up to date when pyproject.toml changes.

PYTHON ?= python3
ARGS ?=
LAB ?= base noble
VENV := .venv
BIN := $(VENV)/bin

# For the tests: a broker, and what builds systemd-python and (from Python 3.13 on) lgpio.
DEBIAN_PACKAGES := mosquitto libsystemd-dev pkg-config gcc python3-dev swig
BENCH_PACKAGES := libmosquitto-dev
CLUSTERS := nats-server rabbitmq-server
LAB_PACKAGES := openssh-client debian-archive-keyring perl xz-utils e2fsprogs

.PHONY: help demo test test-cluster test-system deb soak bench check clean debian-packages
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/demo.stamp ## a room kept warm over MQTT with TLS, all on this machine (ARGS="--speed 120")
	@$(BIN)/stoker demo $(ARGS)

test: debian-packages $(VENV)/test.stamp $(VENV)/systemd.built $(VENV)/pi.built ## every test (ARGS="-k relay")
	@$(BIN)/python -m pytest $(ARGS)

test-cluster: $(VENV)/test.stamp ## NATS and RabbitMQ, three nodes each, that lose nodes (some minutes)
	@scripts/debian-packages mosquitto $(CLUSTERS) || echo "(the tests that need them are skipped)"
	@$(BIN)/python -m pytest -m cluster tests/broker/cluster $(ARGS)

test-system: $(VENV)/test.stamp ## a real systemd, GPIO and thermometer, in machines of its own (root; LAB="base noble pi")
	@scripts/debian-packages $(LAB_PACKAGES) || echo "(the tests that need them are skipped)"
	@tests/system/lab/build $(LAB) || echo "(the tests that need it are skipped)"
	@$(BIN)/python -m pytest -m system tests/system $(ARGS)

deb: $(VENV)/made.stamp ## the Debian packages for amd64 and arm64, into dist/
	@$(BIN)/python packaging/deb.py

soak: debian-packages $(VENV)/test.stamp ## 20 minutes of random faults (ARGS="--minutes 1 --seed 7", ARGS=--figures)
	@PYTHONPATH=daemon:drivers:tests $(BIN)/python -m soak $(ARGS)

bench: $(VENV)/bench.stamp ## what it costs beside others, half an hour (ARGS="--rounds 1", ARGS=growth, ARGS=card, --write)
	@scripts/debian-packages $(DEBIAN_PACKAGES) $(BENCH_PACKAGES) || echo "(without the daemons that need them)"
	@PYTHONPATH=daemon:drivers:tests:bench $(BIN)/python -m cost $(ARGS)

check: $(VENV)/check.stamp ## format, lint, types, and who may import what
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest --quiet tests/test_boundaries.py

clean: ## remove all that make and the tools made
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	@find daemon drivers tests bench -name __pycache__ -prune -exec rm -rf {} +

debian-packages:
	@scripts/debian-packages $(DEBIAN_PACKAGES) || echo "(the tests that need them are skipped)"

$(VENV)/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "stoker needs Python 3.11 or newer, and $(PYTHON) is not: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	    scripts/debian-packages $$($(PYTHON) -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/%.stamp: pyproject.toml $(VENV)/made.stamp
	@echo "installing stoker[$*] into $(VENV), which may take a minute"
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@

# These have no wheel for every Python. Tried again when Debian's packages have changed. PYPI=1: lgpio brings its own C.
$(VENV)/%.built: $(VENV)/test.stamp $(wildcard /var/lib/dpkg/status)
	@echo "installing stoker[$*] into $(VENV)"
	@PYPI=1 $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]' >$(VENV)/$*.log 2>&1 || \
	    echo "stoker[$*] cannot be built here: its tests are skipped ($(VENV)/$*.log says why)"
	@touch $@
