"""What a run's own files say of the items of reporting checklists, and what is left to the author.

It asks no model. It knows no page.
"""

__all__ = [
    "checklist",
    "participants",
    "run_facts",
    "run_files",
]
