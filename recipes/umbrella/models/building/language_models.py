"""A causal language model with its tokenizer, made ready to read scans within its text."""

from dataclasses import dataclass, field

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from umbrella.models.building.chat import find_image_token, settle_template, settle_tokens
from umbrella.models.folder_check import check_model_folder
from umbrella.models.loading import load_pretrained

PROBE_TOKENS = 8
TOLERANCE = 1e-3  # of the largest logit


@dataclass
class LanguageModel:
    """A language model in parts.

    base, head     the layers, and what makes logits of their last state
    is_tied        whether `head` has the weights of the embedding
    probe, logits  some token ids (1, n), and what the model makes of them, whole
    """

    whole: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    chat_template: str
    head: nn.Linear
    is_tied: bool
    probe: torch.Tensor
    logits: torch.Tensor
    notes: list[str] = field(default_factory=list)

    @property
    def base(self) -> PreTrainedModel:
        return self.whole.base_model

    @property
    def image_token_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids(find_image_token(self.tokenizer))


def load_language(name: str) -> LanguageModel:
    """Load it, and give its tokenizer what it lacks.

    Raises ValueError for a model that is no language model alone, or whose tokenizer is a slow one.
    """
    check_model_folder(name)
    config = load_pretrained(AutoConfig, name, "--language_model")
    if config.get_text_config() is not config:
        raise ValueError(
            f"--language_model {name}: expected a language model alone, found a {config.model_type} with parts of its "
            "own for other than text. A LLaVA is taken whole, by --from_model"
        )
    tokenizer = load_pretrained(AutoTokenizer, name, "--language_model")
    if not tokenizer.is_fast:
        raise ValueError(
            f"--language_model {name}: expected a fast tokenizer, which tells where in the text each token stands, "
            f"found {type(tokenizer).__name__}"
        )
    whole = load_pretrained(AutoModelForCausalLM, name, "--language_model").eval()
    notes = settle_tokens(tokenizer, name)
    chat_template, told = settle_template(tokenizer, name)
    notes += [told, *fit_embedding(whole, tokenizer)]
    head, is_tied, untied = take_head(whole, name)
    probe = torch.arange(1, 1 + PROBE_TOKENS)[None]
    with torch.no_grad():
        logits = whole(input_ids=probe).logits
    return LanguageModel(whole, tokenizer, chat_template, head, is_tied, probe, logits, [*notes, *untied])


def fit_embedding(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Make the embedding as large as the tokenizer needs, and say so."""
    rows = model.get_input_embeddings().num_embeddings
    needed = max(tokenizer.get_vocab().values()) + 1
    if needed <= rows:
        return []
    model.resize_token_embeddings(needed)
    return [f"embedding: {needed - rows} rows added to the {rows} of the language model, drawn about their mean"]


def take_head(model: PreTrainedModel, name: str) -> tuple[nn.Linear, bool, list[str]]:
    """The output layer; whether it may go on sharing the embedding's weights; and a sentence where it no longer does.

    LLaVA ties by the name "embed_tokens": GPT-2's, which has another, gets a copy. Raises ValueError for a layer that
    LLaVA has no place for.
    """
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if not isinstance(head, nn.Linear) or head.bias is not None:
        found = "one with a bias" if isinstance(head, nn.Linear) else f"a {type(head).__name__}"
        raise ValueError(
            f"--language_model {name}: expected an output layer of weights alone, as LLaVA's, found {found}. Choose "
            "another language model"
        )
    is_tied = head.weight is embedding.weight
    if not is_tied or getattr(model.base_model, "embed_tokens", None) is embedding:
        return head, is_tied, []
    own = nn.Linear(head.in_features, head.out_features, bias=False, dtype=head.weight.dtype)
    own.weight.data.copy_(head.weight.data)
    model.config.tie_word_embeddings = False
    return own, False, ["output layer: a copy of the embedding's weights from now on, as LLaVA cannot share these"]
