"""What ends an answer."""

from transformers import GenerationConfig


def list_end_tokens(config: GenerationConfig, taught: int) -> list[int]:
    """The end tokens that a model's generation config has, and the one that the labels taught; in ascending order."""
    own = config.eos_token_id
    own = own if isinstance(own, list) else [own]
    return sorted({taught, *(token for token in own if token is not None)})
