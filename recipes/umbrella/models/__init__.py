"""Models: found, loaded, frozen in parts, adapted; the tiny one; the guide's batch.

It knows no rows and no trainer.
"""

__all__ = [
    "adapters",
    "base",
    "cached_tower",
    "chat_templates",
    "end_tokens",
    "feature_cache",
    "files",
    "folder_check",
    "for_training",
    "foreign_code",
    "freezing",
    "guide_batch",
    "hub_errors",
    "hub_names",
    "loading",
    "random_weights",
    "tiny3d",
    "tiny_llava",
    "trained_weights",
    "view_settings",
]
