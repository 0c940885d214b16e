"""Pages from templates."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from umbrella.evaluation.notation import format_p, number, percent
from umbrella.report.pictures import to_data_uri
from umbrella.written_files import write_whole

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


def write_page(path: Path, template: str, **context) -> None:
    """Fill a template and write the page; half a page is never left behind."""
    html = _ENVIRONMENT.get_template(template).render(**context)
    write_whole(path, html)
