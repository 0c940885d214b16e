"""How many examples of a property are tried: by `make test-nightly` as many as its test says, otherwise a quarter."""

from hypothesis import settings

MANY, SOME = 100, 25  # examples of the two profiles in conftest.py, and of a property that names no number


def examples(count, **more):
    """Settings of a property of which `count` examples are tried at night; never fewer than 10, where there are."""
    return settings(max_examples=max(count * settings.default.max_examples // MANY, min(count, 10)), **more)
