"""What is settled about DeepSpeed before it starts."""

import os
from pathlib import Path

import torch

from umbrella.files.json_files import read_json
from umbrella.options.extras import check_extra


def prepare_deepspeed(config: str | dict | None) -> None:
    """Before processes meet: DeepSpeed, where it is asked for, is there, and on CPUs leaves out an op of inference.

    It would compile that op, an all-reduce, while all wait, and leave its 69 MB a process in shared memory when the
    run is over. Training takes gloo's.

    Args:
        config: --deepspeed; None where accelerate's config file may ask for DeepSpeed.

    Raises ImportError, with the command that installs it, where DeepSpeed is missing, ValueError for a config file
    that is no JSON or has a key twice.
    """
    if config is None and os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() != "true":
        return
    check_extra("deepspeed", "--deepspeed", "deepspeed")
    path = config or os.environ.get("ACCELERATE_DEEPSPEED_CONFIG_FILE")
    if isinstance(path, str) and Path(path).is_file():
        read_json(Path(path))
    if not torch.cuda.is_available():
        from deepspeed import ops

        # Private: DeepSpeed has no switch for one op. A release without this list compiles it, at the cost above.
        getattr(ops, "__compatible_ops__", {})["deepspeed_shm_comm"] = False
