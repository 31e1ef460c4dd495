# Each target is one humanmade command; the environment in .venv is made on first use.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
TWIN := .twin
RUN_KIT := $(VENV)/bin/humanmade
DATA ?=
RECIPE ?=
KERNEL ?= train
ARGS ?=
recipe_flag = $(if $(RECIPE),--recipe $(RECIPE))
data_flags = $(foreach folder,$(DATA),--data $(folder))
shifted_flags = $(foreach folder,$(SHIFTED),--shifted $(folder))

# As it stands, whatever signs it holds: the shell sees it as a variable.
export MSG

.DEFAULT_GOAL := help
.PHONY: help cv data audit push status pull weights show lr evaluate predict compare blend check submit scores explain report bench demo
.PHONY: notebook test test-slow twin soak speed fuzz mutants lint clean

help:  ## this list
	@echo "make TARGET [RECIPE=...] [DATA='folder ...'] [ARGS='more options of the command']"
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@echo "making the environment in $(VENV) (a few minutes, once)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

cv: $(READY)  ## K folds of RECIPE on DATA: scores, test logits, submission (the demo if there is no data)
	@$(RUN_KIT) cv $(RECIPE) $(data_flags) $(ARGS)

data: $(READY)  ## download the competition into DATA (default data), going on where it broke off
	@$(RUN_KIT) data $(data_flags) $(ARGS)

audit: $(READY)  ## what gives the label away without a detector (DATA, else the demo)
	@$(RUN_KIT) audit $(data_flags) $(ARGS)

push: $(READY)  ## run RECIPE on Kaggle's GPUs (KERNEL=train, predict, blend or explore)
	@$(RUN_KIT) push $(KERNEL) $(recipe_flag) $(ARGS)

status: $(READY)  ## how the pushed KERNEL does; ARGS=--wait follows it
	@$(RUN_KIT) status $(KERNEL) $(recipe_flag) $(ARGS)

pull: $(READY)  ## fetch the run of the pushed KERNEL, verified, into runs/
	@$(RUN_KIT) pull $(KERNEL) $(recipe_flag) $(ARGS)

weights: $(READY)  ## upload pretrained weights NAMES="a b", or all that RECIPE needs, as private datasets for kernels
	@$(RUN_KIT) weights push $(NAMES) $(recipe_flag) $(ARGS)

show: $(READY)  ## what RECIPE's detector sees of DATA (else the demo): a sheet of clean views and of training's draws
	@$(RUN_KIT) show "$(or $(RECIPE),$(error give RECIPE=name))" $(data_flags) $(ARGS)

lr: $(READY)  ## a learning rate for RECIPE, by a range test on DATA (else the demo)
	@$(RUN_KIT) lr "$(or $(RECIPE),$(error give RECIPE=name))" $(data_flags) $(ARGS)

evaluate: $(READY)  ## score RUN on the labelled folder DATA
	@$(RUN_KIT) evaluate "$(or $(RUN),$(error give RUN=name))" $(data_flags) $(ARGS)

predict: $(READY)  ## what RUN says of PICTURES="photo.jpg folder/"
	@$(RUN_KIT) predict "$(or $(RUN),$(error give RUN=name))" $(PICTURES) $(data_flags) $(ARGS)

compare: $(READY)  ## fold scores of all runs side by side
	@$(RUN_KIT) compare $(ARGS)

blend: $(READY)  ## RUNS="a b" into OUT (default submissions/blend.csv)
	@$(RUN_KIT) blend $(or $(RUNS),$(error give RUNS="a b")) --out "$(or $(OUT),submissions/blend.csv)" $(data_flags) $(ARGS)

check: $(READY)  ## the submission gate on FILE
	@$(RUN_KIT) check "$(or $(FILE),$(error give FILE=submissions/name.csv))" $(data_flags) $(ARGS)

submit: $(READY)  ## send FILE with description MSG, wait for its score, keep it in the ledger
	@$(RUN_KIT) submit "$(or $(FILE),$(error give FILE=submissions/name.csv))" $(if $(MSG),-m "$$MSG") $(data_flags) $(ARGS)

scores: $(READY)  ## bring the ledger of submissions up to date and print it
	@$(RUN_KIT) scores $(ARGS)

explain: $(READY)  ## where RUN looks: a contact sheet of its worst mistakes, surest hits and doubts
	@$(RUN_KIT) explain "$(or $(RUN),$(error give RUN=name))" $(data_flags) $(ARGS)

report: $(READY)  ## one HTML page of all runs, with the audit of DATA if given (OUT, default runs/report.html)
	@$(RUN_KIT) report $(if $(OUT),--out "$(OUT)") $(data_flags) $(ARGS)

bench: $(READY)  ## the table of TABLE (a file of recipes), trained on DATA, judged on SHIFTED (folders)
	@$(RUN_KIT) bench $(or $(TABLE),$(error give TABLE=docs/tables/name.txt)) $(data_flags) $(shifted_flags) $(ARGS)

$(VENV)/.notebook: $(READY)
	$(VENV)/bin/python -m pip install --quiet --editable '.[notebook]'
	@touch $@

notebook: $(VENV)/.notebook  ## open the exploration in JupyterLab: explore.ipynb, your own copy of kernels/explore
	@test -e explore.ipynb || cp kernels/explore/explore.ipynb .
	@$(VENV)/bin/python -m jupyterlab explore.ipynb $(ARGS)

demo: $(READY)  ## write the embedded demo competition into OUT (default build/demo)
	@$(RUN_KIT) demo "$(or $(OUT),build/demo)"

test: $(READY)  ## the tests, a process a core, but for the slow ones
	@$(VENV)/bin/python -m pytest -n auto --dist worksteal -m 'not slow' $(ARGS)

test-slow: $(READY)  ## the slow tests, which try again at length what others try in small
	@$(VENV)/bin/python -m pytest -n auto --dist worksteal -m slow $(ARGS)

$(TWIN)/.ready: kernels/constraints.txt $(READY)
	@echo "making a twin of Kaggle's image in $(TWIN) (its versions; torch is shared with $(VENV))"
	$(VENV)/bin/python -m venv --clear $(TWIN)
	$(TWIN)/bin/python -m pip install --quiet --no-deps --requirement kernels/constraints.txt
	$(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$($(TWIN)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/zz-shared.pth
	@touch $@

twin: $(TWIN)/.ready  ## the pushed scripts under the versions of Kaggle's image, without network
	@$(VENV)/bin/python -m pytest tests/kaggle/test_twin.py $(ARGS)

soak: $(READY)  ## end a training at random moments, ROUNDS times, and compare the bytes it ends with
	@$(VENV)/bin/python -m tests.soak $(if $(ROUNDS),--rounds $(ROUNDS)) $(ARGS)

speed: $(READY)  ## WORKS (all by default) side by side with public tools, trained on DATA: build/speed.csv
	@$(VENV)/bin/python -m benchmarks.speed $(WORKS) $(data_flags) $(ARGS)

fuzz: $(READY)  ## damaged files for SECONDS a target (60); only the kit's own errors may come out
	@$(VENV)/bin/python -m tests.fuzz $(TARGETS) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

mutants: $(READY)  ## break MODULES (the laws by default) one operator at a time; the tests beside them must notice
	@$(VENV)/bin/python -m tests.mutants $(MODULES) $(ARGS)

lint: $(READY)  ## ruff and mypy
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check . && $(VENV)/bin/mypy

clean:  ## remove the environment and build products; runs and data stay
	rm -rf $(VENV) $(TWIN) build dist .coverage*
