"""Keys among the flags: run.json and checkpoints would record them."""

import re
from collections.abc import Sequence

# token, hub_token, api_key, ...; not max_new_tokens, nor logging_first_step.
NAME_OF_A_KEY = re.compile(r"(?:^|[_-])(?:token|key|apikey|secret|password)$", re.I)
# What the Hub and Weights & Biases give out, wherever it stands.
KEY = re.compile(r"(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{30,}|wandb_v\d+_\w{20,})")
# Weights & Biases' older keys. Commits look the same, also within the paths of the Hub's cache.
OLDER_KEY = re.compile(r"[0-9a-f]{40}")


def check_keys(flags: Sequence[str]) -> None:
    """Refuse a key among flags (`--name value`, `--name=value`): run.json and checkpoints would record it.

    Raises ValueError that names the flag, never the key.
    """
    name = "the command line"
    for flag in flags:
        is_name = flag.startswith("--")
        if is_name:
            name, _, value = flag.partition("=")
        else:
            value = flag
        named = is_name and NAME_OF_A_KEY.search(name.removeprefix("--"))
        older = OLDER_KEY.fullmatch(value) and not name.endswith("_revision")
        if named or older or KEY.search(value):
            raise ValueError(
                f"{name}: expected no key among the flags or in the YAML, from where it would get into logs and "
                "checkpoints; found one. Take it out and set it in the environment: HF_TOKEN for the Hub, "
                "WANDB_API_KEY for Weights & Biases"
            )
