"""DICOM folders that are converted in tests, and what came of them."""

import re

from umbrella.cohort.dicom.source import DicomSource
from umbrella.cohort.dicom.tree import make_tree
from umbrella.cohort.shared.visits import Exclusions
from umbrella.cohort.tables.table_rows import TableOptions

KEY = "k" * 40


def make_source(folder, tree, **options):
    """With the same key beside every tree, so that names are the same."""
    key = tree.with_name("the_key")
    key.write_text(KEY)
    given = {"rules": None, "key": key, "jobs": 2, "table": None, "said": TableOptions()}
    given |= {"columns": (), "suffixes": ()}
    return DicomSource(folder=folder, tree=tree, **(given | options))


def convert_folder(folder, tree, **options):
    """The exclusions of a run."""
    exclusions = Exclusions()
    make_tree(make_source(folder, tree, **options), exclusions)
    return exclusions


def read_excluded(exclusions):
    """(description, reason) of each series that was left out."""
    found = [(re.search(r"'(.*?)'\)", row.detail), row.reason) for row in exclusions.rows]
    return {(description and description[1], reason) for description, reason in found}
