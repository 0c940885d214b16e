"""Options of train.py: transformers' TrainingArguments with this project's defaults, and a few flags more."""

from dataclasses import dataclass

from transformers import TrainingArguments

from umbrella.options.cuda import settle_by_cuda
from umbrella.options.deepspeed_start import prepare_deepspeed
from umbrella.options.refused_flags import check_flags
from umbrella.options.trackers import check_trackers
from umbrella.options.training_fields import PlannedTrainFields, TrainFields


@dataclass
class TrainArguments(TrainFields, TrainingArguments):
    """All of transformers' TrainingArguments, with the defaults of this project, and a few flags more."""

    # Private: which flags are read as JSON.
    _VALID_DICT_FIELDS = [*TrainingArguments._VALID_DICT_FIELDS, "liger_kernel_config"]  # noqa: RUF012

    def __post_init__(self) -> None:
        settle_by_cuda(self)
        super().__post_init__()
        prepare_deepspeed(self.deepspeed)
        TrainingArguments.__post_init__(self)
        check_flags(self)
        check_trackers(self.report_to)
        if self.auto_find_batch_size and self.world_size > 1:
            raise ValueError(
                f"--auto_find_batch_size: expected one process, found {self.world_size}: where one runs out of "
                "memory the others wait for it forever. Find the size with one, then give it as --batch_size"
            )
        if self.n_gpu > 1:
            raise ValueError(
                f"expected one process a GPU, found one process with {self.n_gpu} GPUs (DataParallel). "
                f"Start with: accelerate launch --num_processes {self.n_gpu} recipes/train.py ..., or set "
                "CUDA_VISIBLE_DEVICES to one GPU"
            )


@dataclass
class PlannedTrainArguments(PlannedTrainFields, TrainArguments):
    """The same for a recipe that is not run: on this machine's CPU, without DeepSpeed, no folder is made."""
