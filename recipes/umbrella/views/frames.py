"""Which frames of a series are shown."""

from umbrella.views.settings import EVEN, parse_frames


def choose_frames(frames: str, n_volumes: int, start: float | None = None) -> list[int]:
    """The numbers of the volumes, ascending.

    frames     "K": the centres of K equal parts of the series. "window:K": K neighbours
    n_volumes  of the series
    start      0 (the first window) to 1 (the last one); None: the middle one

    Raises ValueError for a series that is shorter than K.
    """
    kind, k = parse_frames(frames)
    if k > n_volumes:
        raise ValueError(
            f"expected a series of at least {k} volumes, as --frames {frames} takes, found {n_volumes}: "
            "take fewer frames"
        )
    if kind == EVEN:
        return [(2 * part + 1) * n_volumes // (2 * k) for part in range(k)]
    first = round((n_volumes - k) * (0.5 if start is None else start))
    return list(range(first, first + k))
