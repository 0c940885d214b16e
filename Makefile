# `make quickstart`: environment, sample data, training, evaluation. `make test`: all tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATA := sample_data/sex_comparison_conversations
RUN := runs/quickstart
PYTEST := --numprocesses 2 --dist worksteal
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: quickstart test test-fast style check
.DELETE_ON_ERROR:

quickstart: $(VENV)/.quickstart
	$(BIN)/python sample_data/generate_sex_comparison_conversations.py
	$(BIN)/python sample_data/validate_json_format.py --check_images $(DATA)
	rm -rf $(RUN)
	$(BIN)/accelerate launch --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no \
		recipes/train.py recipes/configs/quickstart.yaml
	$(BIN)/python recipes/eval.py --model_name_or_path $(RUN) --json_dir $(DATA) --split test
	@echo
	@echo "data         $(DATA)"
	@echo "model        $(RUN)"
	@echo "predictions  $(RUN)/eval/predictions.jsonl"
	@echo "metrics      $(RUN)/eval/metrics.json"
	@echo "report       $(RUN)/eval/report.html"

test: $(VENV)/.test
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(PYTEST)

test-fast: $(VENV)/.test
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(PYTEST) -m "not slow"

style: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# torch and torchvision go first and together: only a matching pair loads.
$(VENV)/.quickstart: setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) --constraint constraints.txt torch torchvision
	$(PIP) --constraint constraints.txt --editable ".[script,tensorboard,eval]"
	touch $@

$(VENV)/.test: $(VENV)/.quickstart
	$(PIP) --constraint constraints.txt --editable ".[script,deepspeed,peft,tensorboard,wandb,test]"
	touch $@
