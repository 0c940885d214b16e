"""A notebook as a page of the site: its text, its cells as code, and below each what is stored of its output."""

import json
from collections.abc import Iterator
from pathlib import Path


def write_notebook(path: Path) -> str:
    """The Markdown of a page. Pictures are a part of it; of outputs in several forms a picture goes before text."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    pieces: list[str] = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            pieces.append(source)
            continue
        pieces.append(f"```python\n{source}\n```")
        pieces += _write_outputs(cell["outputs"])
    return "\n\n".join(pieces) + "\n"


def _write_outputs(outputs: list[dict]) -> Iterator[str]:
    text = "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")
    if text.strip():
        yield "```text\n" + text.strip("\n") + "\n```"
    for output in outputs:
        picture = output.get("data", {}).get("image/png")
        if picture is not None:
            yield f"![what the cell above shows](data:image/png;base64,{''.join(picture).replace(chr(10), '')})"
