"""Options of demo.py, known before torch and Gradio are imported."""

from dataclasses import dataclass, field

from umbrella.options.arguments import EXPECTS, FEATURE_CACHE
from umbrella.options.cuda import by_cuda, settle_by_cuda
from umbrella.options.data.cohort_flags import take_one_folder
from umbrella.options.data.remote_flags import RemoteFlags
from umbrella.options.number_bounds import AT_LEAST_1, check_bounds
from umbrella.options.remote_roots import check_remote
from umbrella.options.serve_arguments import PORTS


@dataclass
class DemoArguments(RemoteFlags):
    """What the page to talk to a model shows, and where it is."""

    json_dir: str | None = field(
        default=None, metadata={"help": "conversations whose rows can be chosen on the page", "nargs": "*"}
    )
    image_root: str | None = field(default=None, metadata={"help": "folder that their relative scan paths start from"})
    split: str = field(default="test", metadata={"help": "which of their splits"})
    compare: str | None = field(default=None, metadata={"help": "another model, which is asked the same beside it"})
    port: int | None = field(default=None, metadata={"help": "of the page (default: the first free one from 7860)"})
    max_upload_mb: int = field(default=1000, metadata={"help": "most megabytes of a scan that is sent to the page"})
    expects: str | None = field(default=None, metadata={"help": EXPECTS})
    max_length: int = field(
        default=2048, metadata={"help": "most tokens of a conversation, its scans' tokens counted"}
    )
    max_new_tokens: int = field(default=64, metadata={"help": "most tokens of an answer"})
    feature_cache: str | None = field(default=None, metadata={"help": FEATURE_CACHE})
    use_cpu: bool | None = by_cuda("answer on the CPU (default: where no CUDA device is)")

    def __post_init__(self) -> None:
        self.json_dir = take_one_folder(self.json_dir, "Start a page for each, with --port")
        for flag in ("image_root", "split"):
            if self.json_dir is None and getattr(self, flag) != getattr(type(self), flag):
                raise ValueError(f"--{flag} {getattr(self, flag)}: expected --json_dir FOLDER too, found none")
        check_bounds(self, dict.fromkeys(("max_upload_mb", "max_length", "max_new_tokens"), AT_LEAST_1))
        check_bounds(self, {"port": PORTS})
        check_remote(self, self.image_root)
        settle_by_cuda(self)
