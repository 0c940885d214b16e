"""What a language model's tokenizer and chat template lack for scans: an image token, a pad token, items of a turn."""

from jinja2 import TemplateSyntaxError
from transformers import PreTrainedTokenizerBase

from umbrella.files.data_format import IMAGE_TOKEN
from umbrella.models.tiny_llava import CHAT_TEMPLATE, TURN_END, TURN_START

# Templates of language models take a turn's text. In front of one that is kept, items become that text: a line each.
ITEMS_TO_TEXT = (
    "{%- set turns = namespace(all=[]) -%}"
    "{%- for message in messages -%}"
    "{%- set turn = namespace(text='') -%}"
    "{%- if message['content'] is string -%}{%- set turn.text = message['content'] -%}"
    "{%- else -%}{%- for item in message['content'] -%}"
    "{%- if not loop.first -%}{%- set turn.text = turn.text + '\\n' -%}{%- endif -%}"
    "{%- set turn.text = turn.text + ('" + IMAGE_TOKEN + "' if item['type'] == 'image' else item['text']) -%}"
    "{%- endfor -%}{%- endif -%}"
    "{%- set turns.all = turns.all + [dict(message, content=turn.text)] -%}"
    "{%- endfor -%}"
    "{%- set messages = turns.all -%}\n"
)
PROBE = ("Which side is it?", "It is on the left.", "Is it above?", "It is below.")


def find_image_token(tokenizer: PreTrainedTokenizerBase) -> str:
    """The token that stands for a scan: the tokenizer's own where it names one, as those of models with an eye do."""
    return getattr(tokenizer, "image_token", None) or IMAGE_TOKEN


def settle_tokens(tokenizer: PreTrainedTokenizerBase, name: str) -> list[str]:
    """Give the tokenizer an image token, and a pad token where it has none. Returns a sentence for each."""
    notes, token = [], find_image_token(tokenizer)
    if token not in tokenizer.get_added_vocab():
        tokenizer.add_special_tokens({"extra_special_tokens": [token]}, replace_extra_special_tokens=False)
        number = tokenizer.convert_tokens_to_ids(token)
        notes.append(f"image token: {token} added to the tokenizer of {name}, which had none, as {number}")
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError(
                f"--language_model {name}: expected a tokenizer with a token that ends a text (eos_token), found "
                "none: set it in its tokenizer_config.json"
            )
        tokenizer.pad_token = tokenizer.eos_token
        notes.append(f"pad token: {tokenizer.eos_token}, which ends a text, as the tokenizer had none of its own")
    return notes


def settle_template(tokenizer: PreTrainedTokenizerBase, name: str) -> tuple[str, str]:
    """The chat template of a processor with this tokenizer, and a sentence on where it comes from: the tokenizer's
    own, else ChatML, whose tokens it then gets.

    Raises ValueError for one that does not write each turn's text once.
    """
    own, image_token = tokenizer.chat_template, find_image_token(tokenizer)
    own = own.get("default") if isinstance(own, dict) else own
    tokenizer.chat_template = None  # the processor's is the only one
    if own is None:
        marks = [mark for mark in (TURN_START, TURN_END) if mark not in tokenizer.get_added_vocab()]
        if marks:
            tokenizer.add_special_tokens({"extra_special_tokens": marks}, replace_extra_special_tokens=False)
        added = f", {' and '.join(marks)} added to the tokenizer" if marks else ""
        template = CHAT_TEMPLATE.replace(IMAGE_TOKEN, image_token)
        return template, f"chat template: ChatML, as {name} has none{added}"
    template = ITEMS_TO_TEXT.replace(IMAGE_TOKEN, image_token) + own
    check_template(tokenizer, template, name)
    return template, f"chat template: that of {name}, with each item of a turn on a line of its own"


def check_template(tokenizer: PreTrainedTokenizerBase, template: str, name: str) -> None:
    """Raise ValueError for a template that does not write the texts of a conversation once, in their order, with an
    image token where the scan is."""
    roles = ("user", "assistant") * (len(PROBE) // 2)
    contents = [[{"type": "text", "text": text}] for text in PROBE]
    contents[0] = [{"type": "image"}, *contents[0]]
    turns = [{"role": role, "content": items} for role, items in zip(roles, contents, strict=True)]
    try:
        written = tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False)
        is_right = _is_in_order(written, (find_image_token(tokenizer), *PROBE))
        problem = None if is_right else f"one that writes {written!r}"
    except (TemplateSyntaxError, ValueError, TypeError, LookupError, AttributeError) as error:
        problem = f"one that fails ({error})"
    except Exception as error:  # jinja2's UndefinedError and what a template raises itself
        if not type(error).__module__.startswith("jinja2"):
            raise
        problem = f"one that fails ({error})"
    if problem:
        raise ValueError(
            f"--language_model {name}: expected a chat template that writes each turn of a conversation once, found "
            f"{problem}. Take the template out of the folder: ChatML then stands in its place"
        )


def _is_in_order(text: str, parts: tuple[str, ...]) -> bool:
    places = [text.find(part) for part in parts]
    return all(text.count(part) == 1 for part in parts) and places == sorted(places)
