"""Lines of libraries that are not true here, left out one by one. A library's other warnings are shown."""

import logging


class _Without(logging.Filter):
    def __init__(self, start: str) -> None:
        super().__init__()
        self.start = start

    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(self.start)


LEFT_OUT = {
    # The README beside umbrella_dataset.py is read as a dataset's card.
    "huggingface_hub.repocard": _Without("Repo card metadata block was not found"),
    # Said where it was not asked for, to all who have no GPU.
    "DeepSpeed": _Without("Setting accelerator to CPU. If you have GPU"),
}


def leave_out_library_lines() -> None:
    """From now on the log messages that begin like those of `LEFT_OUT` are not shown."""
    for name, without in LEFT_OUT.items():
        logging.getLogger(name).addFilter(without)
