"""Check conversation files against JSON_FORMAT_SPECIFICATION.md: all problems of all files in one pass.

    python validate_json_format.py                          # the generated sample folder beside this script
    python validate_json_format.py my_data --check_images   # and read every scan to its last byte
    python validate_json_format.py my_data --check_privacy  # and search texts and scans for personal data
    python validate_json_format.py old_data --migrate new_data

PATH is a data folder, one split folder, or files. Exit code 0: no problem, 1: problems.
"""

import argparse
import os
from dataclasses import fields
from typing import Any

from umbrella.files.contained_files import is_remote
from umbrella.files.data_format import MODALITIES, SPLITS
from umbrella.options.data.remote_flags import RemoteFlags
from umbrella.options.data.shard_flags import ShardFlags
from umbrella.options.list_flags import split_list
from umbrella.options.plain_parser import PlainParser, name_program
from umbrella.options.remote_roots import OF_REMOTE, check_remote


def parse_options(argv: list[str] | None = None, needs_path: bool = False) -> argparse.Namespace:
    """The flags of the validator. `needs_path`: there is no sample data to fall back to."""
    description = __doc__
    if needs_path:  # started as a module, beside which there is no sample data
        examples = [line for line in __doc__.splitlines() if "beside this script" not in line]
        description = "\n".join(examples).replace("python validate_json_format.py", name_program())
    parser = PlainParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="data folders, split folders or files")
    parser.add_argument("--check_images", action="store_true", help="read every scan; find equal ones")
    parser.add_argument("--check_privacy", action="store_true", help="search texts and scans for personal data")
    parser.add_argument(
        "--image_root", type=os.path.expanduser, metavar="DIR", help="what relative scan paths count from"
    )
    for one in fields(RemoteFlags):
        many: dict[str, Any] = {"nargs": "+"} if one.name == "remote_roots" else {}
        kind = float if one.type is float else str
        parser.add_argument(f"--{one.name}", default=one.default, type=kind, help=one.metadata["help"], **many)
    parser.add_argument("--scan_shards", nargs="+", help=fields(ShardFlags)[0].metadata["help"])
    parser.add_argument("--report", metavar="FILE.json", help="write all problems as JSON too")
    parser.add_argument(
        "--migrate", metavar="OUT_DIR", help="convert version 1 or LLaVA JSON into OUT_DIR, check that"
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="train",
        help="with --migrate, of files outside a split folder",
    )
    parser.add_argument(
        "--modality", choices=MODALITIES, default="sMRI", help="with --migrate, of scans that name none"
    )
    options = parser.parse_args(argv)
    if needs_path and not options.paths:
        parser.error("PATH: expected a data folder, a split folder or files, found none")
    options.remote_roots = options.remote_roots and split_list(options.remote_roots)
    try:
        check_remote(to_remote_flags(options), options.image_root)
    except (ValueError, ImportError) as error:
        parser.error(str(error))
    if options.image_root and not is_remote(options.image_root) and not os.path.isdir(options.image_root):
        parser.error(
            f"--image_root: expected a folder, found none at {options.image_root}. Correct it; where all scans lie in "
            "--scan_shards, an empty folder will do"
        )
    return options


def to_remote_flags(options: argparse.Namespace) -> RemoteFlags:
    """Those of scans that lie in object stores."""
    return RemoteFlags(**{name: getattr(options, name) for name in OF_REMOTE})
