"""The Trainer's own --push_to_hub, through the same guard as `push_to_hub.py model`."""

from pathlib import Path

from huggingface_hub import HfApi
from transformers import Trainer

from umbrella.hub.client import check_other_files, open_repo
from umbrella.hub.model import is_read, is_written, publish_model
from umbrella.models.hub_errors import explain_errors
from umbrella.options.push_arguments import PushModelArguments

STRATEGIES = ("end", "every_save")


class GuardedPush(Trainer):
    """A Trainer that pushes weights, processor, recipe and results, into a private repo unless `hub_private_repo` is
    False.

    Raises ValueError for a `hub_strategy` that would publish optimizer states, PushError for a push that the guard or
    the Hub stops.
    """

    def init_hf_repo(self, token=None, private=None):
        strategy = self.args.hub_strategy.value
        if strategy not in STRATEGIES:
            raise ValueError(
                f"--hub_strategy: expected end or every_save, found {strategy}: it would publish optimizer states and "
                "pickles. Keep checkpoints here, and resume from them here"
            )
        if not self.is_world_process_zero():
            return
        name = self.args.hub_model_id or Path(self.args.output_dir).absolute().name
        with explain_errors(name):
            self.hub_model_id = open_repo(self._hub_api(token), name, "model", self._is_public)
        if not self.args.delete_other_files:
            check_other_files(self._hub_api(token), self.hub_model_id, "model", is_read, is_written)
        self.push_in_progress = None

    def push_to_hub(self, commit_message="End of training", blocking=True, token=None, **kwargs):
        """Save the model and publish the run's folder; returns the commit's address on the main process."""
        if self.hub_model_id is None:
            self.init_hf_repo(token=token)
        self.save_model(_internal_call=True)
        if not self.is_world_process_zero():
            return None
        return self._publish(self.args.output_dir, commit_message, token)

    def _push_from_checkpoint(self, checkpoint_folder):
        if self.is_world_process_zero() and self.args.hub_strategy.value == "every_save":
            self._publish(checkpoint_folder, f"Training in progress, step {self.state.global_step}")

    def _publish(self, folder: str, message: str, token=None) -> str:
        options = PushModelArguments(
            model=str(folder),
            repo_id=self.hub_model_id,
            public=self._is_public,
            delete_other_files=self.args.delete_other_files,
            work_dir=f"{self.args.output_dir.rstrip('/')}.hub",
        )
        return publish_model(options, self._hub_api(token), message, Path(self.args.output_dir))

    def _hub_api(self, token=None) -> HfApi:
        return HfApi(token=token or self.args.hub_token)

    @property
    def _is_public(self) -> bool:
        return self.args.hub_private_repo is False
