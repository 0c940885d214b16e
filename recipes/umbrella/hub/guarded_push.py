"""train.py's --push_to_hub, through the same guard as `push_to_hub.py model`."""

from pathlib import Path

from huggingface_hub import HfApi
from transformers import TrainingArguments

from umbrella.hub.client import check_other_files, open_repo
from umbrella.hub.model import is_read, is_written, publish_model
from umbrella.models.hub_errors import explain_errors
from umbrella.options.push_arguments import PushModelArguments

STRATEGIES = ("end", "every_save")


class GuardedPush:
    """Publishes weights, processor, recipe and results of a run, in a private repo unless `hub_private_repo` is False.

    Raises ValueError for a `hub_strategy` that would publish optimizer states.
    """

    def __init__(self, args: TrainingArguments) -> None:
        strategy = args.hub_strategy.value
        if strategy not in STRATEGIES:
            raise ValueError(
                f"--hub_strategy: expected end or every_save, found {strategy}: it would publish optimizer states and "
                "pickles. Keep checkpoints here, and resume from them here"
            )
        self.args, self.every_save = args, strategy == "every_save"
        self.repo_id = args.hub_model_id or Path(args.output_dir).absolute().name

    def open(self, token: str | None = None) -> str:
        """Create the repo where there is none. Returns its full name. Raises PushError where a push of the run's model
        would not come to anything, or would replace files that no push wrote."""
        with explain_errors(self.repo_id):
            self.repo_id = open_repo(self._api(token), self.repo_id, "model", self._is_public)
        if not self.args.delete_other_files:
            check_other_files(self._api(token), self.repo_id, "model", is_read, is_written)
        return self.repo_id

    def publish(self, folder: str | Path, message: str, token: str | None = None) -> str:
        """Publish the model in a run's folder or in one of its checkpoints. Returns the commit's address. Raises
        PushError for a push that the guard or the Hub stops."""
        options = PushModelArguments(
            model=str(folder),
            repo_id=self.repo_id,
            public=self._is_public,
            delete_other_files=self.args.delete_other_files,
            work_dir=f"{self.args.output_dir.rstrip('/')}.hub",
        )
        return publish_model(options, self._api(token), message, Path(self.args.output_dir))

    def _api(self, token: str | None) -> HfApi:
        return HfApi(token=token or self.args.hub_token)

    @property
    def _is_public(self) -> bool:
        return self.args.hub_private_repo is False
