"""Pages from templates."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from umbrella.evaluation.statistics.notation import format_p, number, percent
from umbrella.files.written_files import write_whole
from umbrella.report.pictures import to_data_uri

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)


_ENVIRONMENT.filters |= {
    "percent": percent,
    "number": number,
    "p_value": format_p,
    "svg": lambda text: to_data_uri(text, "image/svg+xml"),
}


# HTML has no control characters but these three (html.spec.whatwg.org, "control"): texts of the data may.
_NO_TEXT = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\ufffd") | {ord(sign): sign for sign in "\t\n\r"}


def write_page(path: Path, template: str, hidden_folder: str | None = None, **context: Any) -> None:
    """Fill a template and write the page, its control characters as U+FFFD; half a page is never left behind.

    hidden_folder  a path of which the page shows the name alone, wherever a sentence has it
    """
    html = _ENVIRONMENT.get_template(template).render(**context)
    if hidden_folder is not None and Path(hidden_folder).name != hidden_folder:
        escape = _ENVIRONMENT.filters["escape"]
        html = html.replace(str(escape(hidden_folder)), str(escape(Path(hidden_folder).name)))
    write_whole(path, html.translate(_NO_TEXT))
