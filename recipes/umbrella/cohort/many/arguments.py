"""The flags of predict.py: one scan, or many from a BIDS tree, a table or a folder, by the generator's names."""

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path

from umbrella.answers.question_turns import list_paths
from umbrella.cohort.tables.delimiter import DELIMITERS
from umbrella.files.studies import read_named
from umbrella.options.data.remote_flags import RemoteFlags
from umbrella.options.number_bounds import AT_LEAST_1, NOT_NEGATIVE, check_bounds
from umbrella.options.remote_roots import check_remote
from umbrella.options.tool_arguments import PredictArguments

SOURCES = ("bids_dir", "table", "folder")
# Flag → the sources of which it says something.
READ_BY = {
    **dict.fromkeys(("participants", "derivatives", "suffixes", "run", "entities"), ("bids_dir",)),
    **dict.fromkeys(("image_column", "image_template", "image_root"), ("table",)),
    **dict.fromkeys(("delimiter", "encoding", "id_column", "session_column", "sessions"), ("bids_dir", "table")),
    "modalities_of_visit": ("bids_dir", "table"),
}
OF_MANY = ("output", "overwrite", "labels", "answer_template", "batch_size", "num_workers")
ENDINGS = (".csv", ".tsv")


@dataclass
class ManyArguments(PredictArguments, RemoteFlags):
    """What is asked, about which scan or scans, and where the answers of many go."""

    bids_dir: str | None = field(default=None, metadata={"help": "a BIDS tree: one answer for each visit"})
    table: str | None = field(
        default=None,
        metadata={"help": "a .tsv or .csv with a scan in each row; with --image_column or --image_template"},
    )
    folder: str | None = field(
        default=None, metadata={"help": "a folder: one answer for each scan in it and in the folders below"}
    )
    output: str | None = field(default=None, metadata={"help": "the table of answers to write, .csv or .tsv"})
    participants: str | None = field(
        default=None,
        metadata={
            "help": "of a BIDS tree: only the participants of this table (default: every sub-*); without one, --table"
        },
    )
    image_column: str | None = field(
        default=None, metadata={"help": "column of the table that holds the scans' paths"}
    )
    image_template: str | None = field(
        default=None,
        metadata={
            "help": "where a row's scan is, with {column} or {column:03d} fields; of a study NAME=PATH for each "
            "sequence",
            "nargs": "*",
        },
    )
    image_root: str | None = field(
        default=None, metadata={"help": "relative paths of the table count from here (default: the table's folder)"}
    )
    delimiter: str | None = field(
        default=None,
        metadata={"help": f"of the table: {', '.join(DELIMITERS)} (default: told from its name and lines)"},
    )
    encoding: str | None = field(
        default=None, metadata={"help": "of the table, as cp1252 (default: UTF-8, or as its first bytes say)"}
    )
    id_column: str = field(default="participant_id", metadata={"help": "column of participants' ids"})
    session_column: str | None = field(
        default=None, metadata={"help": "column of sessions (default: session_id, where there is one)"}
    )
    sessions: list[str] | None = field(default=None, metadata={"help": "only these sessions (default: all)"})
    suffixes: list[str] | None = field(
        default=None, metadata={"help": "of a BIDS tree, as sMRI=T2w (default: sMRI=T1w, dMRI=dwi, fMRI=bold)"}
    )
    modalities_of_visit: list[str] | None = field(
        default=None,
        metadata={
            "help": "the sequences of a visit that are shown together, as T1w,FLAIR; none: one scan a visit (default: "
            "those of the model's training)"
        },
    )
    run: str = field(
        default="", metadata={"help": "of a BIDS tree: first, last or an index, where a visit has several"}
    )
    entities: list[str] | None = field(
        default=None, metadata={"help": "of a scan's name in a BIDS tree, as task=rest; space= for names without it"}
    )
    derivatives: str | None = field(
        default=None, metadata={"help": "take the scans from derivatives/NAME of the BIDS tree (or a folder)"}
    )
    labels: list[str] | None = field(
        default=None, metadata={"help": "labels to look for, as male,female (default: those recorded in training)"}
    )
    answer_template: str | None = field(
        default=None, metadata={"help": "the answer whose probability is told, with {label} (default: as recorded)"}
    )
    batch_size: int = field(default=8, metadata={"help": "scans at once in each process"})
    num_workers: int = field(default=0, metadata={"help": "processes that read scans while the model answers"})
    overwrite: bool = field(default=False, metadata={"help": "start anew, whatever --output holds"})

    def __post_init__(self) -> None:
        if self.participants is not None and self.bids_dir is None and self.table is None:
            self.table, self.participants = self.participants, None  # as the generator calls it
        self.join_words("image", "reference", "image_template")
        check_remote(self, self.image_root)
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if not given:
            self._refuse_idle(OF_MANY + tuple(READ_BY), "one of --bids_dir, --table and --folder", "none")
            super().__post_init__()
            return
        if len(given) > 1 or self.image is not None:
            found = [*given, *(["image"] if self.image is not None else [])]
            raise ValueError(
                f"expected one of --image, --bids_dir, --table and --folder, found --{' and --'.join(found)}"
            )
        (source,) = given
        idle = tuple(name for name, sources in READ_BY.items() if source not in sources)
        self._refuse_idle(idle, "the source of which it speaks", f"--{source}")
        if source == "bids_dir" and self.participants is None:
            of_table = ("delimiter", "encoding", "id_column", "session_column")
            self._refuse_idle(of_table, "--participants TABLE", "--bids_dir alone")
        if source == "table" and (self.image_column is None) == (self.image_template is None):
            found = "neither" if self.image_column is None else "both"
            raise ValueError(f"--table: expected --image_column COLUMN or --image_template PATH, found {found}")
        if self.output is None or not self.output.lower().endswith(ENDINGS):
            raise ValueError(f"expected --output answers.csv (or .tsv), found {self.output or 'none'}")
        for name in ("table", "participants", "reference"):
            read = getattr(self, name)
            if any(_is_same(one, self.output) for one in (list_paths(read) if read is not None else ())):
                raise ValueError(f"--output: expected another file than --{name}, found {self.output} for both")
        if self.modalities_of_visit and self.suffixes:
            raise ValueError(
                "--suffixes: expected no --modalities_of_visit beside it, which names the scans, found both"
            )
        if self.delimiter is not None and self.delimiter not in DELIMITERS:
            raise ValueError(f"--delimiter: expected {', '.join(DELIMITERS)}, found {self.delimiter}")
        if self.answer_template is not None and "{label}" not in self.answer_template:
            raise ValueError(f"--answer_template: expected {{label}} in it, found {self.answer_template!r}")
        check_bounds(self, {"batch_size": AT_LEAST_1, "num_workers": NOT_NEGATIVE})
        self.check_question()

    def choose_sequences(self, trained: Sequence[str]) -> tuple[list[str], list[str]]:
        """The sequences of a visit that a row shows, none where it shows one scan; and sentences on what that was told
        from. `trained`: those of training.

        Raises ValueError for others than training has shown.
        """
        stated, named = self.modalities_of_visit, list(read_named(self.image or ""))
        if stated is not None:
            sequences = [] if stated == ["none"] else list(stated)
        elif self.asks_many:
            names_one = self.suffixes or (self.table and not read_named(self.image_template or ""))
            sequences = [] if self.folder or names_one else list(trained)
        else:
            sequences = list(trained or named) if named else []
        if other := [name for name in (*sequences, *named) if trained and sequences and name not in trained]:
            flag = "image" if stated is None else "modalities_of_visit"
            expected = f"expected sequences of training ({', '.join(trained)})"
            raise ValueError(f"--{flag}: {expected}, found {other[0]}. Leave it out")
        if not sequences:
            return [], []
        by = "by --modalities_of_visit" if stated is not None else "as in training" if trained else "as they are named"
        return sequences, [f"sequences: {', '.join(sequences)}, {by}; those that are absent are said to be"]

    @property
    def asks_many(self) -> bool:
        """Whether a source of many scans is given."""
        return any(getattr(self, name) is not None for name in SOURCES)

    def _refuse_idle(self, names: tuple[str, ...], expected: str, found: str) -> None:
        """Raises ValueError for a flag that would do nothing."""
        for one in fields(self):
            default = None if one.default is MISSING else one.default
            if one.name in names and getattr(self, one.name) != default:
                raise ValueError(
                    f"--{one.name}: expected {expected}, found {found}. Add it, or leave --{one.name} out"
                )


def _is_same(one: str, other: str) -> bool:
    """Whether two names are of one file."""
    return Path(one).expanduser().resolve() == Path(other).expanduser().resolve()
