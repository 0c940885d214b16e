"""Pieces of the page as HTML. Whatever comes from a file, a model or a person is escaped here."""

from collections.abc import Sequence
from html import escape

from umbrella.report.demo.known_labels import KnownLabels
from umbrella.report.pictures import Picture

NOT_A_DEVICE = "Research software, not a medical device: do not base a diagnosis on its answers."
# In the elements themselves, where no rule of Gradio's for pictures wins over them.
LIST = "display:flex;flex-wrap:wrap;gap:12px;margin:8px 0"
PICTURE = "display:inline-block;image-rendering:pixelated;background:#000;max-width:100%;width:{width}px;height:auto"


def show_header(models: Sequence[str], shown: Sequence[str]) -> str:
    """The head of the page: which models, and how each is shown a scan."""
    names = " and ".join(f"<b>{escape(name)}</b>" for name in models)
    if len(set(shown)) == 1:
        how = f"A scan is shown to {'it' if len(models) == 1 else 'both'} as {escape(shown[0])}."
    else:
        how = " ".join(
            f"To <b>{escape(name)}</b> a scan is shown as {escape(one)}."
            for name, one in zip(models, shown, strict=True)
        )
    return (
        f"<header><h1>Umbrella</h1><p>You talk to {names}. {how}</p>"
        f'<p class="warning" role="note">{NOT_A_DEVICE}</p></header>'
    )


def show_title(text: str) -> str:
    """A heading within a part of the page."""
    return f"<h3>{escape(text)}</h3>"


def show_text(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>" if text else ""


def show_pictures(pictures: Sequence[Picture], width: int) -> str:
    """Pictures of what the model saw side by side, each `width` pixels of the page wide, its own pixels as squares."""
    shown = "".join(
        f'<figure style="margin:0"><figcaption>{escape(one.name)}</figcaption>{one.left} <img src="{one.address}" '
        f'alt="What the model saw, {escape(one.name)}" style="{PICTURE.format(width=width)}"> {one.right}</figure>'
        for one in pictures
    )
    return f'<div style="{LIST}">{shown}</div>'


def show_status(sentence: str, is_error: bool = False) -> str:
    """What happens, or what went wrong, in one sentence."""
    kind, role = ("error", "alert") if is_error else ("note", "status")
    return f'<p class="{kind}" role="{role}">{escape(sentence)}</p>' if sentence else ""


def show_warnings(warnings: Sequence[str]) -> str:
    """What is to be said of a question."""
    return "".join(f'<p class="warned" role="note">{escape(warning)}</p>' for warning in warnings)


def show_probabilities(known: KnownLabels, probabilities: Sequence[float]) -> str:
    """A bar for each label, the most probable first, and what they are the probabilities of; without probabilities why
    there are none."""
    if not probabilities:
        told = "" if known.labels else known.told
        return f'<p class="told">{escape(told)}</p>' if told else ""
    best_first = sorted(zip(known.labels, probabilities, strict=True), key=lambda pair: -pair[1])
    bars = "".join(
        f'<li><span class="label">{escape(label)}</span>'
        f'<span class="bar"><span style="width:{100 * share:.1f}%"></span></span>'
        f'<span class="share">{escape(_percent(share))}</span></li>'
        for label, share in best_first
    )
    answer = escape(known.answer_template)
    scored = f"Each label is scored as the answer “{answer}” to the last question; together they have 100 %. "
    return f'<ol class="bars">{bars}</ol><p class="told">{scored}{escape(known.told)}</p>'


def _percent(share: float) -> str:
    return "over 99.9 %" if share > 0.999 else "under 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def show_truth(label: str | None, answer: str) -> str:
    """The true answer of a row of the data."""
    known = "The row has no label." if label is None else f"Label: <b>{escape(label)}</b>."
    return f'<p class="truth">{known} Its own answer: “{escape(answer)}”</p>'
