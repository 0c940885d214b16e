"""Options of the recipes that serve a model and check what a server answers."""

from dataclasses import dataclass, field

from umbrella.options.cuda import by_cuda, settle_by_cuda
from umbrella.options.number_bounds import AT_LEAST_1, NOT_NEGATIVE, POSITIVE, Bounds, check_bounds

HOST, PORT = "127.0.0.1", 8000
PORTS = Bounds(1, 65535)


@dataclass
class ServeArguments:
    """Where a model is served."""

    host: str = field(
        default=HOST, metadata={"help": "address to listen at; any but this machine's own lets others ask, unasked"}
    )
    port: int = field(default=PORT, metadata={"help": "port to listen at"})
    use_cpu: bool | None = by_cuda("answer on the CPU (default: where no CUDA device is)")

    def __post_init__(self) -> None:
        check_bounds(self, {"port": PORTS})
        settle_by_cuda(self)


@dataclass
class CheckServedArguments:
    """Which server is asked, and what of a split."""

    url: str = field(default=f"http://{HOST}:{PORT}/v1", metadata={"help": "of the server, up to /v1"})
    served_name: str | None = field(
        default=None, metadata={"help": "the model's name at the server (default: the one model that it has)"}
    )
    split: str = field(default="test", metadata={"help": "which split"})
    n: int = field(default=0, metadata={"help": "how many of its first rows are asked; 0 for all"})
    max_new_tokens: int = field(default=64, metadata={"help": "most tokens of an answer"})
    timeout: float = field(default=600.0, metadata={"help": "most seconds that an answer of the server may take"})
    use_cpu: bool | None = by_cuda("answer here on the CPU (default: where no CUDA device is)")

    def __post_init__(self) -> None:
        check_bounds(self, {"n": NOT_NEGATIVE, "max_new_tokens": AT_LEAST_1, "timeout": POSITIVE})
        settle_by_cuda(self)
