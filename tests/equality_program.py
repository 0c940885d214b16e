"""A training run that is written down to the gradient, for test_equality: in this process, or as a rank of several.

equality_program.py DATA OUTPUT ROWS_A_DEVICE ACCUMULATION DEEPSPEED|none FAMILY...
"""

import sys

import numpy as np
import torch
from deepspeed.utils import safe_get_full_grad
from families import FAMILIES
from family_models import build_model
from tiny_trainer import trainer_parts
from transformers.modeling_utils import set_zero3_state

from umbrella.models.loading import load_model, load_processor
from umbrella.options.commands.ending import run
from umbrella.options.training_arguments import TrainArguments
from umbrella.rows.transform import ConversationTransform
from umbrella.training.batches.token_plan import plan_batches
from umbrella.training.trainer import ConversationTrainer
from umbrella_dataset import load_umbrella

N_STEPS = {"tiny": 20, "tokens": 6}  # of the others 2
TINY = ("tiny", "tokens")  # the second with batches by tokens, in place of so many rows
TOKENS = 320
SIZES = ("32x32x32", "16x32x48", "32x48x16")


class MixedVolumes:
    """Shows each row's volumes in one of three sizes, those of every other row as series of two or three frames."""

    def __init__(self):
        self.shown = [VolumesOfFrames(FAMILIES["volumes"](), volume_size=size) for size in SIZES]

    def __call__(self, rows):
        names = list(rows)
        one_by_one = [dict(zip(names, values, strict=True)) for values in zip(*rows.values(), strict=True)]
        examples = [self.shown[number_of(row) % 3].encode_row(row) for row in one_by_one]
        keys = dict.fromkeys(key for example in examples for key in example)
        return {key: [example.get(key) for example in examples] for key in keys}


class VolumesOfFrames(ConversationTransform):
    def load_images(self, row, number):
        volume = super().load_images(row, number)
        n_frames = (1, 2, 1, 3)[number_of(row) % 4]
        return np.concatenate([volume * (1 + frame) for frame in range(n_frames)])


def number_of(row):
    return int(row["task_id"].split("_")[1])


class WrittenTrainer(ConversationTrainer):
    """Keeps the whole gradient of the first step, unclipped, and the rows and type of the model of each step."""

    def training_step(self, model, inputs, num_items_in_batch=None):
        self.model_type = type(model).__name__
        self.seen.append([name for name in inputs["task_ids"] if name is not None])
        if self.is_deepspeed_enabled and not self.gradient:
            step = model.step
            model.step = lambda: (self.keep_gradient(safe_get_full_grad), setattr(model, "step", step), step())
        return super().training_step(model, inputs, num_items_in_batch)

    def _get_grad_norm(self, model, grad_norm=None):
        if not self.is_deepspeed_enabled and not self.gradient:
            self.keep_gradient(lambda parameter: parameter.grad)
        return super()._get_grad_norm(model, grad_norm)

    def keep_gradient(self, read):
        for name, parameter in self.model.named_parameters():
            value = read(parameter)
            self.gradient[name] = torch.zeros(()) if value is None else value.detach().cpu().clone()


def train(family, data, output, batch_size, accumulation, deepspeed=None, **options):
    """Train and return what was written down."""
    processor = load_processor("tiny") if family in TINY else FAMILIES[family]()
    with set_zero3_state():  # whole on each process also under ZeRO-3, until its weights are drawn
        model = load_model("tiny", seed=0) if family in TINY else build_model(family, processor)
    rows = load_umbrella(data, split="train", cache_dir=f"{output}/cache")
    rows.set_transform(MixedVolumes() if family == "volumes" else ConversationTransform(processor))
    trainer = WrittenTrainer(
        model=model,
        args=TrainArguments(
            output_dir=f"{output}/run",
            max_steps=N_STEPS.get(family, 2),
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=accumulation,
            max_grad_norm=0.0,
            learning_rate=1e-3,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            deepspeed=deepspeed,
            tokens_per_batch=TOKENS if family == "tokens" else None,
            **options,
        ),
        train_dataset=rows,
        **trainer_parts(processor),
    )
    trainer.seen, trainer.gradient = [], {}
    trainer.token_plan = plan_batches(rows, ConversationTransform(processor), trainer.args)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    weights = {name: getattr(p, "ds_shape", None) or p.detach().clone() for name, p in model.named_parameters()}
    return {
        "losses": losses,
        "gradient": trainer.gradient,
        "seen": trainer.seen,
        "model_type": trainer.model_type,
        "weights": weights,
        "measured": trainer.speed.measure(),
        "rank": trainer.args.process_index,
    }


def main():
    data, output, batch_size, accumulation, deepspeed, *families = sys.argv[1:]
    deepspeed = None if deepspeed == "none" else deepspeed
    written = {
        family: train(family, data, output, int(batch_size), int(accumulation), deepspeed) for family in families
    }
    torch.save(written, f"{output}/rank{written[families[0]]['rank']}.pt")


if __name__ == "__main__":
    run(main)
