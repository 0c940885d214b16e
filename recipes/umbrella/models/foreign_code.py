"""Code that a model's folder or repo brings along: none of it runs here, whatever stands in stdin."""

from pathlib import Path

# Left open, transformers asks on the terminal, and takes a "y" that waits in stdin for the user's word.
NO_FOREIGN_CODE = {"trust_remote_code": False}


def refuse_foreign_code(name: str | Path, error: Exception) -> None:
    """Raise ValueError in place of an error of `from_pretrained` that asks for trust in such code."""
    if "trust_remote_code" in str(error):
        raise ValueError(
            f"{name}: expected a model of a kind that transformers has itself, found one that brings its own code "
            "along (auto_map in its configs, or custom_generate/). Such code is never run here: choose another model, "
            "or a version of this one that was converted for transformers"
        ) from error
