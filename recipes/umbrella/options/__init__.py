"""Every flag, the YAML with flags, and how a command ends.

It knows no trainer, no model and no data.
"""

__all__ = [
    "arguments",
    "build_arguments",
    "compare_flags",
    "control_signs",
    "cuda",
    "ending",
    "extras",
    "free_port",
    "input_spec",
    "keys",
    "list_flags",
    "number_bounds",
    "parsing",
    "plain_parser",
    "plan_flags",
    "progress",
    "push_arguments",
    "remote_roots",
    "serve_arguments",
    "tool_arguments",
    "training_arguments",
    "training_fields",
    "training_flags",
]
