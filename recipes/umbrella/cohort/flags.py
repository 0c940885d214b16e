"""Generate conversations about your own cohort, from a BIDS tree, a table or DICOM, with honest splits.

    python sample_data/generate_conversations.py --bids_dir /data/bids --target sex --reference both \\
        --stratify sex,site --output_dir my_conversations
    python sample_data/generate_conversations.py --participants table.csv --target age --group_by family_id \\
        --image_template "{participant_id}/anat/{participant_id}_T1w.nii.gz" --output_dir my_conversations

    python sample_data/generate_conversations.py --dicom_dir /data/dicom --target sex --output_dir my_conversations

writes `train/`, `validation/`, `test/` and `samples/` with conversations that name the scans where they are,
splits.json, exclusions.tsv (everything found and not used, with its reason) and summary.txt. The scans are only
listed, not opened, unless --check_images is given. The same options give the same files, byte for byte.
--dry_run lists what is there: suffixes, tasks, sessions, entities, columns with their kinds.
"""

import argparse
import os
import sys
from pathlib import Path

from umbrella.cohort.questions import target as cohort_target
from umbrella.cohort.questions.conversations import REFERENCES
from umbrella.cohort.shared.study import ORDERS
from umbrella.cohort.tables import column_kind
from umbrella.cohort.tables.delimiter import DELIMITERS
from umbrella.files.data_format import MODALITIES
from umbrella.options.number_bounds import AT_LEAST_1, NOT_NEGATIVE, SEED, check_bounds
from umbrella.options.plain_parser import PlainParser, name_program

CONVERSATIONS_PER_SHARD = 10_000
DEFAULT_RULES = "recipes/umbrella/cohort/dicom/rules/default.yaml"
BOUNDS = {
    "references_per_subject": AT_LEAST_1,
    "jobs": AT_LEAST_1,
    "jsonl": AT_LEAST_1,
    "least_sequences": AT_LEAST_1,
    "decimals": NOT_NEGATIVE,
    "seed": SEED,
}


LISTS_OF_CODES = ("--missing", "--labels")  # a code may begin with a minus: -9,999 and -1=no


# What --dry_run without --target makes use of.
OF_COHORT = frozenset(
    """--bids_dir --participants --image_template --delimiter --encoding --id_column --session_column --modalities
    --modalities_of_visit --sequence_order --least_sequences --suffixes --sessions --run --entities --derivatives
    --check_images --dry_run --image_root --output_dir --dicom_dir --dicom_rules --dicom_key --bids_out
    --jobs""".split()
)


def join_lists_of_codes(argv: list[str]) -> list[str]:
    """`--missing n/a -9,999` as `--missing=n/a,-9,999`: argparse takes a word that begins with a minus and is no
    number for a flag. The list goes on to the next flag."""
    joined: list[str] = []
    for word in argv:
        name, equals, _ = joined[-1].partition("=") if joined else ("", "", "")
        if name in LISTS_OF_CODES and not word.startswith("--") and word != "-h":
            joined[-1] += f",{word}" if equals else f"={word}"
        else:
            joined.append(word)
    return joined


def _name_command() -> str:
    name = name_program()
    return name if name.startswith("python -m") else f"python sample_data/{name}"


def make_parser(description: str | None = __doc__) -> PlainParser:
    """The parser of all flags, in groups; its epilog says how numbers are told from classes."""
    target_rule = f"{cohort_target.__doc__}\n{column_kind.__doc__}"
    parser = PlainParser(
        description=(description or "").replace("python sample_data/generate_conversations.py", _name_command()),
        epilog=f"numbers or classes:\n{target_rule}\n\nLists are taken with commas or with spaces.",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = parser.add_argument_group("cohort")
    group.add_argument("--bids_dir", type=Path, metavar="DIR", help="a BIDS tree with participants.tsv")
    group.add_argument(
        "--participants", type=Path, metavar="TABLE", help=".tsv or .csv, one row a participant or visit"
    )
    group.add_argument(
        "--image_template",
        nargs="+",
        default=[],
        metavar="[NAME=]PATH",
        help="where a row's scan is, with {column} or {column:03d} fields; from the table's folder or --image_root; "
        "NAME is a modality or a sequence",
    )
    group.add_argument("--delimiter", choices=tuple(DELIMITERS), help="of the table (told from its name and lines)")
    group.add_argument("--encoding", metavar="NAME", help="of the table, as cp1252 (UTF-8, or as its first bytes say)")
    group.add_argument("--id_column", default="participant_id", metavar="COLUMN", help="(participant_id)")
    group.add_argument("--session_column", metavar="COLUMN", help="(session_id, where there is one)")
    group.add_argument(
        "--modalities",
        nargs="+",
        default=[],
        metavar="MODALITY",
        help=f"{', '.join(MODALITIES)}: of a BIDS tree, all in one conversation (sMRI)",
    )
    group.add_argument(
        "--modalities_of_visit",
        nargs="+",
        default=[],
        metavar="SEQUENCE",
        help="as T1w,FLAIR,T2w: a visit's sequences in one conversation, by their names; those it lacks are said",
    )
    group.add_argument("--sequence_order", choices=ORDERS, default=ORDERS[0], help="of these (fixed), or by the seed")
    group.add_argument("--least_sequences", type=int, default=1, metavar="N", help="a visit must have as many (1)")
    group.add_argument("--suffixes", nargs="+", default=[], metavar="MODALITY=SUFFIX", help="as sMRI=T2w")
    group.add_argument(
        "--sessions", nargs="+", default=[], metavar="SESSION", help="only these, in their order in time"
    )
    group.add_argument("--run", default="", help="first, last or an index, where a visit has several")
    group.add_argument(
        "--entities",
        nargs="+",
        default=[],
        metavar="[MODALITY:]NAME=VALUE",
        help="of a scan's name, as fMRI:task=rest description=preproc; space= for names without it",
    )
    group.add_argument("--derivatives", metavar="NAME", help="take the scans from derivatives/NAME (or a folder)")
    group.add_argument("--check_images", action="store_true", help="read every scan; leave out bad and doubled ones")
    group.add_argument(
        "--dry_run", action="store_true", help="list what is there and what would be made of it; write nothing"
    )
    group = parser.add_argument_group("DICOM", "converted into a BIDS tree with hashed names, which is then read")
    group.add_argument("--dicom_dir", type=Path, metavar="DIR", help="all DICOM files in it, in whatever folders")
    group.add_argument(
        "--dicom_rules",
        type=Path,
        metavar="FILE.yaml",
        help=f"which description is which scan; copy and edit {DEFAULT_RULES}",
    )
    group.add_argument(
        "--dicom_key",
        type=Path,
        metavar="FILE",
        help="the secret that names the participants, made where there is none (OUTPUT_DIR.dicom_key)",
    )
    group.add_argument("--bids_out", type=Path, metavar="DIR", help="the tree to write, kept (OUTPUT_DIR_bids)")
    group.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="conversions at once (all processors)"
    )
    group = parser.add_argument_group("question")
    group.add_argument("--target", metavar="COLUMN", help="what is asked (required)")
    group.add_argument("--target_type", choices=("categorical", "numeric"), help="(told, see below)")
    group.add_argument(
        "--labels",
        nargs="+",
        default=[],
        metavar="VALUE=LABEL",
        help="as 1=male 2=female; others go (participants.json's Levels)",
    )
    group.add_argument("--unit", help="of numbers, as years (participants.json's Units, or the template's)")
    group.add_argument(
        "--decimal_sign",
        choices=(".", ","),
        metavar="SIGN",
        help="of the target's numbers, . or , (told from all of them)",
    )
    group.add_argument("--decimals", type=int, metavar="N", help="round numbers to as many")
    group.add_argument(
        "--missing",
        nargs="+",
        metavar="VALUE",
        help="further values of the target that mean missing, as -9,999; none: all are what they say (asked about)",
    )
    group.add_argument("--template", metavar="NAME|FILE.yaml", help="wordings (those that fit the target)")
    group.add_argument("--question", nargs="+", metavar="TEXT", help="wordings in place of the template's")
    group.add_argument("--answer", nargs="+", metavar="TEXT", help="as 'The sex is {value}.'")
    group.add_argument("--reference", choices=tuple(REFERENCES), help="whose scan stands first, by its label (none)")
    group.add_argument("--references_per_subject", type=int, default=1, metavar="N", help="of each kind (1)")
    group.add_argument(
        "--change", choices=("direction", "number"), help="ask what has changed since an earlier session, of a number"
    )
    group.add_argument("--order_by", metavar="COLUMN", help="numbers or dates that put sessions in order")
    group.add_argument("--metadata", nargs="+", default=[], metavar="COLUMN", help="columns to keep, as sex site")
    group = parser.add_argument_group("splits")
    group.add_argument(
        "--split",
        nargs="+",
        default=["0.8,0.1,0.1"],
        metavar="SHARE",
        help="train,validation,test (0.8,0.1,0.1)",
    )
    group.add_argument(
        "--stratify",
        nargs="+",
        metavar="COLUMN",
        help="as sex,site: in equal shares in every split; none: as drawn (by the answers, numbers in 4 bins)",
    )
    group.add_argument("--group_by", metavar="COLUMN", help="as family_id: never in two splits")
    group.add_argument(
        "--split_file", type=Path, metavar="FILE", help="a splits.json, or a table participant_id, split"
    )
    group.add_argument("--holdout", metavar="COLUMN=VALUE", help="as site=X: an external test set, in external/")
    group.add_argument("--balance", action="store_true", help="as many of each label in train; test stays as it is")
    group.add_argument("--seed", type=int, default=0, help="the same seed gives the same files (0)")
    group = parser.add_argument_group("output")
    group.add_argument("--output_dir", type=Path, metavar="DIR", help="data folder to write (required)")
    group.add_argument("--image_root", type=Path, metavar="DIR", help="scan paths count from here, later ones too")
    group.add_argument(
        "--jsonl",
        nargs="?",
        type=int,
        const=CONVERSATIONS_PER_SHARD,
        metavar="N",
        help=f"shards of N conversations ({CONVERSATIONS_PER_SHARD}) instead of a file a conversation",
    )
    return parser


def read_flags(
    parser: argparse.ArgumentParser, argv: list[str] | None = None
) -> tuple[argparse.Namespace, frozenset[str]]:
    """The flags, and the names of those that were given. Whatever is wrong about one of them alone ends the program
    with a sentence."""
    argv = join_lists_of_codes(sys.argv[1:] if argv is None else argv)
    flags = parser.parse_args(argv)
    given = frozenset(word.partition("=")[0] for word in argv if word.startswith("--"))
    _check_needed(parser, flags, given)
    try:
        check_bounds(flags, BOUNDS)
    except ValueError as error:
        parser.error(str(error))
    return flags, given


def _check_needed(parser: argparse.ArgumentParser, flags: argparse.Namespace, given: frozenset[str]) -> None:
    for name in () if flags.dry_run else ("target", "output_dir"):
        if getattr(flags, name) is None:
            parser.error(f"expected --{name}, found none")
    idle = sorted(given - OF_COHORT) if flags.target is None else []
    if idle:
        parser.error(
            f"{idle[0]}: expected --target beside it, found --dry_run alone, which lists what is there. Add --target "
            "COLUMN, or leave it out"
        )
    flags.target = flags.target or ""
