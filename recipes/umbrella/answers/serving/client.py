"""Asks a served model about scans: shows them as training did and answers as recipes/predict.py does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from umbrella.answers.question_turns import make_question_turns
from umbrella.answers.serving.messages import build_messages, draw_scans
from umbrella.answers.serving.servable import check_servable, read_servable
from umbrella.answers.serving.server import Server
from umbrella.options.tool_arguments import PredictArguments
from umbrella.records.recipe_file import FILE_NAME, Recipe

MAX_NEW_TOKENS = 64  # as predict.py's


@dataclass(frozen=True)
class Reply:
    """What a server answers: the text, without outer white space, and how many tokens it counted in the prompt (None
    where it does not say)."""

    text: str
    prompt_tokens: int | None


class Client:
    """Asks an OpenAI-compatible server (`transformers serve`, vLLM), greedily.

    >>> client = Client("http://127.0.0.1:8000/v1", "exported/umbrella_recipe.json")  # doctest: +SKIP
    >>> client.ask("scan.nii.gz", "Is this subject male or female?")  # doctest: +SKIP
    'The subject is female.'

    Args:
        url: of the server, as http://127.0.0.1:8000/v1.
        recipe: how scans are shown: the folder of the model that is served, or its umbrella_recipe.json alone.
        model: the name under which the server has the model; None asks for the one that it has.
        max_new_tokens: most tokens of an answer.
        timeout_s, api_key: see `umbrella.answers.serving.server.Server`.

    Raises ValueError for a model whose scans no server can show as training did; it says why, and the way out.
    """

    def __init__(
        self,
        url: str,
        recipe: str | Path | Recipe,
        model: str | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        timeout_s: float = 600.0,
        api_key: str | None = None,
    ) -> None:
        if isinstance(recipe, Recipe):
            check_servable(recipe, FILE_NAME)
        self.settings = (recipe if isinstance(recipe, Recipe) else read_servable(recipe)).settings
        self.server = Server(url, timeout_s, api_key)
        named = {} if model is None else {"model": model}
        self.options = {**named, "temperature": 0, "max_tokens": max_new_tokens}

    def ask(self, image: str | Path, question: str, sequences: Sequence[str] = (), **options: Any) -> str:
        """The answer to one question about one scan.

        Args:
            image: NIfTI or FreeSurfer; of a study "T1w=a.nii FLAIR=b.nii".
            sequences: of a study all that training named, in their order, so that absent ones are said.
            options: `modality`, `reference`, `reference_label`, `reference_text` and `reference_reply`, as
                recipes/predict.py has them.

        Raises ValueError for options that do not fit and a scan that is not there, ScanError for one that cannot be
        shown, ServerError.
        """
        asked = PredictArguments(image=str(image), question=question, use_cpu=True, **options)
        turns = make_question_turns(asked, None, sequences)
        scans = [item for turn in turns for item in turn["content"] if item["type"] == "image"]
        return self.answer(turns, [{"path": scan["image_path"], "modality": scan["modality"]} for scan in scans]).text

    def answer(self, turns: list[dict], scans: list[dict]) -> Reply:
        """The answer to a conversation, such as a row's of the data.

        Args:
            turns: [{role, content}]; the last one, the answer's own, is not sent.
            scans: {path or bytes, modality} for each image item of the turns, in their order.

        Raises ScanError, ServerError.
        """
        messages = build_messages(turns, draw_scans(scans, self.settings), self.settings.view)
        answered = self.server.complete({"messages": messages, **self.options})
        text = answered["choices"][0]["message"].get("content") or ""
        return Reply(text.strip(), (answered.get("usage") or {}).get("prompt_tokens"))
