"""What several rooms agree on is written down once: the words of the data's format, the label that is not learned."""

import ast
import contextlib
from collections import Counter
from pathlib import Path

import umbrella_dataset
from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.files import data_format

RECIPES, SAMPLE_DATA = (Path(__file__).parents[1] / name for name in ("recipes", "sample_data"))
WORDS = {name: value for name, value in vars(data_format).items() if name.isupper()}


def test_the_formats_words_are_those_of_the_loading_script():
    """Which stands alone, so that they are written down twice."""
    theirs = vars(umbrella_dataset) | {"SPLITS": tuple(dict.fromkeys(umbrella_dataset.SPLIT_FOLDERS.values()))}
    assert {name: theirs[name] for name in WORDS} == WORDS


def test_a_word_of_the_format_is_written_down_once_in_the_library():
    """Not a second time as a constant of a module, under whatever name."""
    words = WORDS | {"IGNORE_INDEX": IGNORE_INDEX}
    stated = Counter()
    for path in (*RECIPES.rglob("*.py"), *SAMPLE_DATA.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign):
                with contextlib.suppress(ValueError):
                    value = ast.literal_eval(node.value)
                    stated.update(name for name, word in words.items() if value == word)
    assert stated == Counter(words.keys())
