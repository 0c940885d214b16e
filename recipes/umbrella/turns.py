"""Turns of a conversation as plain data: their ChatML text, chat templates' form, exchanges. Knows no processor."""


class ConversationError(ValueError):
    """A conversation, chat template or tokenizer that cannot be turned into correct labels."""


def format_conversation(
    conversations: list[dict], add_generation_prompt: bool = False, image_token: str = "<image>"
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
    return {"type": "text", "text": text}


def count_images(turns: list[dict]) -> int:
    """Number of image items in the turns."""
    return sum(
        item["type"] == "image" for turn in turns if not isinstance(turn["content"], str) for item in turn["content"]
    )


def drop_oldest_exchange(turns: list[dict]) -> list[dict] | None:
    """The turns without their oldest exchange (user up to and with the assistant's reply); a leading system turn
    stays. None when only one exchange is left."""
    start = next((i for i, turn in enumerate(turns) if turn["role"] != "system"), len(turns))
    answered = False
    for i in range(start, len(turns)):
        if answered and turns[i]["role"] != "assistant":
            return turns[:start] + turns[i:]
        answered = answered or turns[i]["role"] == "assistant"
    return None
