"""Answers to the last question of each row: greedily generated text, and the likelihood of each candidate answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from datasets import Dataset
from torch.distributed.fsdp import FSDPModule
from torch.utils.data import DataLoader
from transformers.integrations import is_deepspeed_zero3_enabled

from umbrella.answers.scoring import answer_log_likelihoods, replace_answer
from umbrella.models.end_tokens import list_end_tokens
from umbrella.options.commands.progress import show_progress
from umbrella.rows.batches.lookahead import Foresight, Lookahead
from umbrella.rows.collator import ConversationCollator, without_names
from umbrella.rows.cpu_threads import cores_left_to_workers
from umbrella.rows.transform import ConversationTransform
from umbrella.scans.volumes import ScanError


@dataclass(frozen=True)
class Answer:
    """What the model says to a row: its text, and the log-likelihood of each candidate (empty without candidates).

    refused  why the row could not be shown, where such rows are kept; the text is then empty
    """

    task_id: str
    text: str
    log_likelihoods: list[float]
    refused: str | None = None


class Answerer:
    """Asks a model, on one process or on several.

    Args:
        prompts: a transform with `add_generation_prompt`, which leaves the last answer out.
        answers: one without it, for the rows with each candidate as their answer; the same otherwise.
        batch_size: rows at once in each process. Neither it nor the number of processes changes an answer.
        candidates: whole answers whose likelihood is wanted.
    """

    def __init__(
        self,
        model: Any,
        prompts: ConversationTransform,
        answers: ConversationTransform,
        batch_size: int,
        max_new_tokens: int,
        num_workers: int = 0,
        candidates: Sequence[str] = (),
    ) -> None:
        self.model, self.prompts, self.answers = model.eval(), prompts, answers
        self.batch_size, self.num_workers = batch_size, num_workers
        self.candidates = candidates
        self.pad_left = ConversationCollator(prompts.processor, padding_side="left", keep_metadata=True)
        self.pad_right = ConversationCollator(answers.processor)
        self.tokenizer = tokenizer = prompts.processor.tokenizer
        self.generation = {
            "do_sample": False,
            "num_beams": 1,
            "max_new_tokens": max_new_tokens,
            "eos_token_id": list_end_tokens(model.generation_config, prompts.encoder.end_token_id),
            "pad_token_id": tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id,
        }

    def answer(
        self, rows: Dataset, title: str | None, score: bool = False, keep_refused: bool = False
    ) -> Iterator[list[Answer]]:
        """Answers in the rows' order, a list for every round of batches; on every process the same.

        Each round takes the next `batch_size` rows for each process: several processes make the same batches as one.
        `title` stands before the progress bar; None for no bar. `keep_refused`: a scan that cannot be read, or that
        the recipe refuses, is an answer with its reason; else it ends all with its error. Not for weights that are
        spread over processes, where all must call the model.
        """
        state = PartialState()
        batches = [list(range(i, min(i + self.batch_size, len(rows)))) for i in range(0, len(rows), self.batch_size)]
        mine = batches[state.process_index :: state.num_processes]
        questions = _Questions(rows, self, self.candidates if score else (), keep_refused)
        told = mine if questions.foresight is None else Lookahead(mine, 1, self.num_workers)
        loader = iter(DataLoader(questions, batch_sampler=told, collate_fn=list, num_workers=self.num_workers))
        rounds = -(-len(batches) // state.num_processes)
        silent = title is None or not state.is_main_process
        shared = cores_left_to_workers(self.num_workers, self.model.device)
        with shared, show_progress(total=len(rows), unit="row", desc=title, disable=silent) as progress:
            for _ in range(rounds):
                answers = gather_object([answer for batch in _take_one(loader) for answer in self._ask(batch)])
                progress.update(len(answers))
                yield answers

    def answer_row(self, row: dict, **following: Any) -> Answer:
        """The answer to one row on this process, the same as `answer` gives, without likelihoods.

        following  what `generate` takes to follow an answer or to end it: `streamer`, `stopping_criteria`
        """
        return self._ask_shown([[self.prompts.encode_row(row)]], **following)[0]

    @torch.no_grad()
    def score_row(self, row: dict) -> list[float]:
        """The log-likelihood of each candidate as a row's last answer, on this process."""
        return [self._score([self.answers.encode_row(replace_answer(row, text))])[0] for text in self.candidates]

    @torch.no_grad()  # not inference_mode: a buffer that a model makes in it would stop the training that goes on
    def _ask(self, examples: list[list[dict] | Answer]) -> list[Answer]:
        questions = [example for example in examples if not isinstance(example, Answer)]
        answered = iter(self._ask_shown(questions) if questions else ())
        return [example if isinstance(example, Answer) else next(answered) for example in examples]

    def _ask_shown(self, questions: list[list[dict]], **following: Any) -> list[Answer]:
        prompts = self.pad_left(self._with_scan([prompt for prompt, *_ in questions]))
        inputs = self._to_device(prompts)
        del inputs["labels"]
        # FSDP2 by accelerate, which generate does not know: a process whose answers are done must stay for the others.
        synced = {"synced_gpus": True} if isinstance(self.model, FSDPModule) else {}
        tokens = self.model.generate(**inputs, **synced, **following, **self.generation)[: len(questions)]
        texts = self.tokenizer.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        scores = [self._score(list(candidate)) for candidate in list(zip(*questions, strict=True))[1:]]
        by_row = zip(*scores, strict=True) if scores else [()] * len(texts)
        return [
            Answer(task_id, text.strip(), list(log_likelihoods))
            for task_id, text, log_likelihoods in zip(prompts["task_ids"][: len(texts)], texts, by_row, strict=True)
        ]

    def _with_scan(self, examples: list[dict]) -> list[dict]:
        """Where the vision tower is spread over processes, all run it: a batch without scans gets the blank row."""
        if not is_deepspeed_zero3_enabled() and not isinstance(self.model, FSDPModule):
            return examples
        blank = self.prompts.blank_example()
        has_scan = any(blank.keys() <= example.keys() for example in examples)
        return examples if has_scan else [*examples, blank]

    def _score(self, examples: list[dict]) -> list[float]:
        inputs = self._to_device(self.pad_right(examples))
        labels = inputs.pop("labels")
        return answer_log_likelihoods(self.model(**inputs).logits, labels).tolist()

    def _to_device(self, batch: dict) -> dict:
        return {key: value.to(self.model.device) for key, value in without_names(batch).items()}


class _Questions(torch.utils.data.Dataset):
    """Row → [its prompt, then the row with each candidate as its answer], encoded; or the answer of one refused."""

    def __init__(self, rows: Dataset, answerer: Answerer, candidates: Sequence[str], keep_refused: bool) -> None:
        self.rows, self.candidates, self.keep_refused = rows.with_format(None), candidates, keep_refused
        self.prompts, self.answers = answerer.prompts, answerer.answers
        is_fetched = self.prompts.fetch_ahead is not None
        self.foresight = Foresight(self.rows, self.prompts.prefetch) if is_fetched else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> list[dict] | Answer:
        if self.foresight is not None:
            self.foresight.hear(index)
        row = self.rows[index]
        try:
            return self._encode(row)
        except ScanError as error:
            if not self.keep_refused:
                raise
            return Answer(row["task_id"], "", [], str(error).removeprefix(f"{row['source']}: "))

    def _encode(self, row: dict) -> list[dict]:
        candidates = [self.answers.encode_row(replace_answer(row, text)) for text in self.candidates]
        return [self.prompts.encode_row(row), *candidates]


def _take_one(batches: Iterator) -> list:
    """The next batch in a list; an empty one where this process has none left while others have."""
    return [batch] if (batch := next(batches, None)) is not None else []
