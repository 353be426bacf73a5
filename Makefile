PYTHON ?= python3
BIN := .venv/bin
# Byte code is written where a module is first imported, not for every file that pip installs.
unexport PYTHONDONTWRITEBYTECODE

PYTEST := pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

.PHONY: bench demo help report test test-oldest
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile

bench: .venv/installed ## measures speed, in about an hour
	$(BIN)/python -m benchmarks

demo: .venv/installed ## compares three variants on built-in images, in a few minutes
	$(BIN)/python cli.py study --variants jacobi,no_reg,svb --seeds 0 --overlay demo.yaml --root demo
	$(BIN)/python cli.py report demo --out demo/report

report: .venv/installed ## makes the tables of README from results/
	for study in $$(cd results && ls -d *_epochs); do \
		$(BIN)/python cli.py report results/$$study --out report/$$study --readme README.md \
			--part $$study || exit 1; done
	cp report/source_15_epochs/class_maps_on_the_same_plane.png results/class_maps.png
	cp report/stable_15_epochs/excess_smoothness_at_equal_accuracy.png \
		results/excess_smoothness.png

test: .venv/installed browser ## ruff, mypy, pytest with coverage
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p build/types && ln -sfn ../.. build/types/regularizer_collection
	# Side by side, as mypy takes one core for a minute.
	$(BIN)/mypy & mypy=$$!; OMP_NUM_THREADS=1 $(BIN)/$(PYTEST) --cov && \
		{ wait $$mypy || { echo "mypy found errors, see the first lines"; exit 1; }; }

# ">=" of pyproject.toml is read as "==", but for torch and torchvision, as not every pair of builds
# fits. What the old packages warn of newer ones of theirs is not ours to change.
TORCH := ^torch\(vision\)\?==
test-oldest: browser ## pytest with the oldest dependencies that pyproject.toml allows
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	mkdir -p build
	sed -n '/^dependencies/,/^.project.scripts/p' pyproject.toml \
		| grep -o '"[a-z-]\+\(\[[a-z]*\]\)\?>=[0-9.]*' | tr -d '"' \
		| sed 's/\[[a-z]*\]//; s/>=/==/' | grep -v '$(TORCH)' > build/oldest.txt
	grep '$(TORCH)' requirements.lock >> build/oldest.txt
	.venv-oldest/bin/pip install --quiet --no-compile --constraint build/oldest.txt \
		--editable ".[ray,test]"
	OMP_NUM_THREADS=1 .venv-oldest/bin/$(PYTEST) -W ignore::DeprecationWarning

# The tests of the dashboard drive Chromium, and skip where it cannot be had.
.PHONY: browser
browser:
	command -v chromedriver || { test `id -u` = 0 && apt-get update -qq && \
		apt-get install -qq --no-install-recommends chromium chromium-driver; } > /dev/null || true

# requirements.lock holds the exact versions; pip installs again only when one of the two changed.
# adv-lib, which a test compares with, asks for a plotting server that need not be there.
.venv/installed: pyproject.toml requirements.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-compile --constraint requirements.lock --editable ".[ray,test]"
	-$(BIN)/pip install --quiet --no-compile --no-deps --constraint requirements.lock adv-lib
	touch $@
