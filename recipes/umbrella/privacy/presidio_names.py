"""People's names by Presidio and a spaCy model, which know names that no list has: the optional extra "privacy"."""

from collections.abc import Callable, Iterator

NameFinder = Callable[[str], Iterator[tuple[int, int]]]
LEAST_SCORE = 0.5
LONGEST_PIECE, LONGEST_NAME = 5000, 200  # spaCy takes no text of more than a million characters, and much memory


def build_name_finder(model: str) -> NameFinder:
    """A function from a text to the (start, end) of the people it names.

    Args:
        model: a spaCy model that is installed, such as en_core_web_lg.

    Raises ValueError where Presidio or the model is missing.
    """
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider
    except ImportError as error:
        raise ValueError(
            f"--presidio: expected the package {error.name}, found none. Install the extra 'privacy'"
        ) from error
    if not spacy.util.is_package(model):
        raise ValueError(f"--presidio: expected the spaCy model {model}, found none: python -m spacy download {model}")
    settings = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": model}]}
    engine = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=settings).create_engine())

    def find_people(text: str) -> Iterator[tuple[int, int]]:
        for start, piece in cut(text):
            for found in engine.analyze(piece, language="en", entities=["PERSON"], score_threshold=LEAST_SCORE):
                yield start + found.start, start + found.end

    return find_people


def cut(text: str) -> Iterator[tuple[int, str]]:
    """(start, piece): pieces of a text that overlap by as much as the longest name."""
    for start in range(0, max(1, len(text) - LONGEST_NAME), LONGEST_PIECE - LONGEST_NAME):
        yield start, text[start : start + LONGEST_PIECE]
