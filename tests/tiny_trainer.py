"""What ConversationTrainer needs beside model, arguments and rows, for the tiny model or another processor; one that
keeps what it has seen."""

from umbrella.models.loading import load_model, load_processor
from umbrella.options.training_arguments import TrainArguments
from umbrella.records.recipe import resolve_recipe
from umbrella.rows.collator import ConversationCollator
from umbrella.rows.transform import ConversationTransform
from umbrella.training.provenance import Provenance
from umbrella.training.trainer import ConversationTrainer
from umbrella.views.settings import ViewSettings


def trainer_parts(processor=None) -> dict:
    """Collator, processor, blank row and provenance, as keyword arguments."""
    processor = processor or load_processor("tiny")
    return {
        "data_collator": ConversationCollator(processor, keep_metadata=True),
        "processing_class": processor,
        "blank": ConversationTransform(processor).blank_example(),
        "provenance": Provenance(resolve_recipe(ViewSettings(), processor, "")),
    }


class RecordingTrainer(ConversationTrainer):
    """Keeps the names of the rows of each training step."""

    def training_step(self, model, inputs, num_items_in_batch=None):
        self.seen = [*getattr(self, "seen", []), inputs["task_ids"]]
        return super().training_step(model, inputs, num_items_in_batch)


def build_trainer(rows, output_dir, eval_rows=None, provenance=None, **options):
    parts = trainer_parts()
    return RecordingTrainer(
        model=load_model("tiny", seed=0),
        args=TrainArguments(
            output_dir=str(output_dir), report_to="none", disable_tqdm=True, per_device_train_batch_size=2, **options
        ),
        train_dataset=rows,
        eval_dataset=eval_rows or rows,
        **parts | ({"provenance": provenance} if provenance else {}),
    )
