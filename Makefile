# `make quickstart`: environment, sample data, training, evaluation. `make test`: all tests but those of a night.
# `make quickstart CPU=1`: the same with PyTorch's builds without GPU libraries, from TORCH_INDEX; for a new VENV.
PYTHON ?= python3
VENV ?= .venv
CPU ?=
TESTS ?=
TORCH_INDEX ?= $(if $(CPU),https://download.pytorch.org/whl/cpu)
BIN := $(VENV)/bin
DATA := sample_data/sex_comparison_conversations
RUN := runs/quickstart
# One worker more than two cores: tests that launch wait for what they have launched.
PYTEST := --numprocesses 3 --dist worksteal --durations 20
PIP := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
SMALL := without GPU libraries, less than 2.5 GB
LARGE := 6.7 GB on Linux, 4.3 GB of them GPU libraries; without an NVIDIA GPU: make quickstart CPU=1
HAS_GPU_LIBRARIES := error: CPU=1: expected PyTorch without GPU libraries in $(VENV), found them. Remove it, or choose \
	another: make quickstart CPU=1 VENV=.venv-cpu
READY := $(VENV)/.quickstart$(if $(CPU),-cpu)

.PHONY: quickstart test test-fast test-nightly newest style check docs
.DELETE_ON_ERROR:

quickstart: $(READY)
	@echo "quickstart 2 of 4: data, synthetic heads and conversations about them, made and checked"
	@$(BIN)/python sample_data/generate_sex_comparison_conversations.py
	@$(BIN)/python sample_data/validate_json_format.py --check_images $(DATA)
	@echo "quickstart 3 of 4: training by recipes/configs/quickstart.yaml, about 2 minutes on 2 cores"
	@rm -rf $(RUN)
	@$(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		recipes/train.py recipes/configs/quickstart.yaml
	@echo "quickstart 4 of 4: evaluation on scans of other subjects, and with exchanged ones, about 2 minutes"
	@$(BIN)/python recipes/eval.py --model_name_or_path $(RUN) --json_dir $(DATA) --split test
	@echo
	@echo "data         $(DATA)"
	@echo "model        $(RUN)"
	@echo "predictions  $(RUN)/eval/predictions.jsonl"
	@echo "metrics      $(RUN)/eval/metrics.json"
	@echo "report       $(RUN)/eval/report.html"

# pytest compiles every test anew where Python may not keep what it has compiled: 5 seconds of each worker.
test: $(VENV)/.test
	HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PYTEST) -m "not nightly"

test-fast: $(VENV)/.test
	HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PYTEST) -m "not slow and not fuzz and not nightly"

# The long loops, benchmarks, many examples of each property; then an hour of each fuzzer, with a seed of the day.
test-nightly: $(VENV)/.test
	HF_HUB_OFFLINE=1 UMBRELLA_EXAMPLES=many $(BIN)/python -m pytest $(PYTEST) -m "nightly or hypothesis"
	HF_HUB_OFFLINE=1 UMBRELLA_FUZZ_SECONDS=3600 UMBRELLA_FUZZ_SEED=$$(date +%F) $(BIN)/python -m pytest -s -m fuzz \
		--numprocesses 3 --dist load

# The fast tests, or TESTS="tests/test_x.py ...", with the newest releases, in an environment of their own below TMPDIR.
newest:
	TORCH_INDEX="$(TORCH_INDEX)" $(PYTHON) .ci/newest $(TESTS)

style: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

# The site, in site/. A broken link, a public name without a docstring, a claim without its test end it. The variable keeps
# the theme's notice about another program out.
docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# torch and torchvision go first and together: only a matching pair loads. From an index of their own they come alone,
# since it has few versions of what they need; that comes with the rest.
$(READY): setup.cfg constraints.txt
	@echo "quickstart 1 of 4: environment in $(VENV), $(if $(CPU),$(SMALL),$(LARGE))"
	$(PYTHON) -m venv $(VENV)
	@echo "environment 1 of 2: PyTorch"
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX) --no-deps) torch torchvision
	@echo "environment 2 of 2: datasets, transformers, and what else setup.cfg names"
	$(PIP) --editable ".[script,tensorboard,eval]"
	@$(if $(CPU),$(BIN)/python -c "import sys; import torch; sys.exit(torch.version.cuda and '$(HAS_GPU_LIBRARIES)')")
	touch $@

$(VENV)/.test: $(READY)
	$(PIP) --editable ".[script,deepspeed,peft,tensorboard,wandb,test,docs]"
	touch $@
