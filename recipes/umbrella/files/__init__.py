"""Files and folders, here, in stores and in shards: written whole or not at all, JSON, YAML, what a path may lead to.

It knows nothing of scans, models or flags.
"""

__all__ = [
    "arrow_json",
    "arrow_tables",
    "bounded_folder",
    "claimed_folder",
    "contained_files",
    "data_format",
    "file_hashes",
    "json_files",
    "studies",
    "whole_folder",
    "written_files",
    "yaml_files",
]
