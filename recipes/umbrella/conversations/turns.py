"""Turns of a conversation as plain data: their ChatML text, chat templates' form, exchanges. Knows no processor."""

from itertools import chain, takewhile

from umbrella.files.data_format import IMAGE_TOKEN


class ConversationError(ValueError):
    """A conversation, chat template or tokenizer that cannot be turned into correct labels."""


class ConversationTooLongError(ConversationError):
    """A conversation of more tokens than it may have."""


def format_conversation(
    conversations: list[dict], add_generation_prompt: bool = False, image_token: str = IMAGE_TOKEN
) -> str:
    """The format specification's ChatML text of a conversation, the items of a turn in order, joined by new lines.

    Used to prompt models whose processor has no chat template of its own, and to read a conversation.

    >>> format_conversation([{"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image"}]}])
    '<|im_start|>user Hi\\n<image><|im_end|>'
    """
    text = "".join(
        f"<|im_start|>{turn['role']} {_join_items(turn['content'], image_token)}<|im_end|>" for turn in conversations
    )
    return text + ("<|im_start|>assistant " if add_generation_prompt else "")


def _join_items(content: str | list[dict], image_token: str) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(image_token if item["type"] == "image" else item["text"] for item in content)


def join_texts(items: list[dict]) -> str:
    """The texts among the items of a turn, joined by line breaks."""
    return "\n".join(item["text"] for item in items if item["type"] == "text")


def to_messages(conversations: list[dict]) -> list[dict]:
    """The turns of a row as chat templates take them: items hold `type`, and `text` where they are text."""
    messages = []
    for turn in conversations:
        content = turn["content"]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        items = [{"type": "image"} if item["type"] == "image" else text_item(item["text"]) for item in content]
        messages.append({"role": turn["role"], "content": items})
    return messages


def text_item(text: str) -> dict:
    """An item of a turn's content that holds text."""
    return {"type": "text", "text": text}


def repeat_image_items(turns: list[dict], n_images: int) -> list[dict]:
    """Each image item as often as its view has images: a placeholder stands for one image."""
    if n_images == 1:
        return turns
    return [
        turn
        if isinstance(turn["content"], str)
        else {
            **turn,
            "content": [item for item in turn["content"] for _ in range(n_images if item["type"] == "image" else 1)],
        }
        for turn in turns
    ]


def count_images(turns: list[dict]) -> int:
    """Number of image items in the turns."""
    return sum(
        item["type"] == "image" for turn in turns if not isinstance(turn["content"], str) for item in turn["content"]
    )


def split_exchanges(turns: list[dict]) -> list[list[dict]]:
    """The turns by exchanges: each from what is said to the assistant up to and with the assistant's reply."""
    exchanges, answered = [[]], False
    for turn in turns:
        if answered and turn["role"] != "assistant":
            exchanges.append([])
            answered = False
        answered = answered or turn["role"] == "assistant"
        exchanges[-1].append(turn)
    return exchanges


def drop_exchanges(exchanges: list[list[dict]], n: int) -> list[dict]:
    """The turns without the oldest `n` exchanges; the system turns in front of these stay."""
    system = [turn for dropped in exchanges[:n] for turn in takewhile(lambda turn: turn["role"] == "system", dropped)]
    return [*system, *chain.from_iterable(exchanges[n:])]
