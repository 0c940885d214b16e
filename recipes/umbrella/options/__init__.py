"""Every flag, the YAML with flags, and how a command ends.

It knows no trainer, no model and no data.
"""

__all__ = [
    "arguments",
    "build_arguments",
    "compare_flags",
    "cuda",
    "extras",
    "input_spec",
    "keys",
    "list_flags",
    "number_bounds",
    "parsing",
    "plain_parser",
    "plan_flags",
    "push_arguments",
    "remote_roots",
    "serve_arguments",
    "tool_arguments",
    "training_arguments",
    "training_fields",
    "training_flags",
]
