"""A loaded model answers one asker after the other, each answer as it is written."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty
from threading import Event, Lock
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

from umbrella.answers.generation import Answer
from umbrella.answers.scoring import to_probabilities
from umbrella.answers.talking.opening import OpenedModel

SECONDS = 0.2  # between two looks at whether the asker is still there
WAITING, WRITING, WHOLE, CUT, STOPPED = "waiting", "writing", "whole", "cut", "stopped"


@dataclass(frozen=True)
class Reply:
    """An answer so far.

    state          "waiting" for `n_before` other answers; "writing"; and at last "whole", "cut" at the most tokens of
                   an answer, or "stopped" by the asker
    probabilities  of the candidates, in their order, which sum to one; empty where there are none, and before the end
    """

    text: str
    state: str
    n_before: int = 0
    probabilities: tuple[float, ...] = ()

    @property
    def is_answer(self) -> bool:
        """Whether it is what the model says, and no longer grows. A stopped one is, once it has a word."""
        return self.state in (WHOLE, CUT) or (self.state == STOPPED and bool(self.text))


class Talker:
    """Answers questions to one model. Whoever asks first is answered first; nothing of two answers is mixed."""

    def __init__(self, opened: OpenedModel) -> None:
        self.opened = opened
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="talker")
        self._n_asked, self._counting = 0, Lock()

    def do_in_turn(self, work: Callable[..., Any], *arguments: Any) -> Future:
        """Let something else use the model, once all that came before is done."""
        with self._counting:
            self._n_asked += 1
        future = self._thread.submit(work, *arguments)
        future.add_done_callback(self._count_down)
        return future

    def _count_down(self, _: Future) -> None:
        with self._counting:
            self._n_asked -= 1

    def answer(self, row: dict, stop: Event, with_probabilities: bool = True) -> Iterator[Reply]:
        """The answer to a row as it grows, at last as predict.py gives it. `stop`, once set, ends it after the next
        token; so does whoever takes no more of it and closes the iterator.

        Raises ConversationTooLongError where the row has more tokens than the model may be given, ScanError for a
        scan that cannot be shown.
        """
        answerer = self.opened.answerer
        streamer = TextIteratorStreamer(
            answerer.tokenizer, skip_prompt=True, timeout=SECONDS, skip_special_tokens=True
        )
        watch = _Watch(stop)
        n_before = self._n_asked
        future = self.do_in_turn(self._write, row, streamer, watch)
        try:
            if n_before:
                yield Reply("", WAITING, n_before)
            text = ""
            for piece in _follow(streamer, future):
                text += piece
                if text.strip():
                    yield Reply(text.strip(), WRITING)
            answer = future.result()
            if answer is None or watch.was_stopped:
                yield Reply(text.strip() if answer is None else answer.text, STOPPED)
                return
            is_cut = watch.last not in answerer.generation["eos_token_id"]
            state = CUT if is_cut else WHOLE
            if not with_probabilities or not answerer.candidates:
                yield Reply(answer.text, state)
                return
            yield Reply(answer.text, WRITING)
            scores = self.do_in_turn(answerer.score_row, row).result()
            yield Reply(answer.text, state, probabilities=tuple(to_probabilities(scores)))
        finally:
            watch.is_left = True

    def _write(self, row: dict, streamer: TextIteratorStreamer, watch: "_Watch") -> Answer | None:
        if watch.is_over:  # gone while others were answered
            return None
        return self.opened.answerer.answer_row(row, streamer=streamer, stopping_criteria=StoppingCriteriaList([watch]))

    def close(self) -> None:
        """Answer no more; who waits is not answered."""
        self._thread.shutdown(wait=False, cancel_futures=True)


class _Watch(StoppingCriteria):
    """Ends an answer once nobody waits for it, and sees its last token."""

    def __init__(self, stop: Event) -> None:
        self.stop, self.last, self.is_left, self.was_stopped = stop, -1, False, False

    @property
    def is_over(self) -> bool:
        return self.is_left or self.stop.is_set()

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        self.last = int(input_ids[0, -1])
        self.was_stopped = self.is_over
        return torch.full((len(input_ids),), self.was_stopped, device=input_ids.device)


def _follow(streamer: TextIteratorStreamer, future: Future) -> Iterator[str]:
    """The pieces of a text, until it ends or what writes it has."""
    while True:
        try:
            yield next(streamer)
        except StopIteration:
            return
        except Empty:
            if future.done():  # it was never begun, or has ended with an error
                return
