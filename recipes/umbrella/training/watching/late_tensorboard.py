"""TensorBoard's logs begin with the first step, so that a start that comes to none leaves no folder behind."""

from copy import copy
from functools import partial
from typing import Any

from transformers.integrations import TensorBoardCallback


class LateTensorBoard(TensorBoardCallback):
    """Holds back what is logged before the first step is taken, and writes it then."""

    def __init__(self) -> None:
        super().__init__()
        self._held = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._held = [partial(super().on_train_begin, args, copy(state), control, **kwargs)]

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        write = partial(super().on_log, args, copy(state), control, logs, **kwargs)
        if self._held:
            self._held.append(write)
        else:
            write()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._release()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._release()
        super().on_train_end(args, state, control, **kwargs)

    def _release(self) -> None:
        held, self._held = self._held, []
        for write in held:
            write()
