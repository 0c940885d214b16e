"""docs/volumes.md counts tokens as the processor does."""

import math
import re
from pathlib import Path

import numpy as np

from umbrella.models.loading import load_processor
from umbrella.options.data.volume_flags import parse_volume_size

PAGE = Path(__file__).parents[1] / "docs" / "volumes.md"
ROW = re.compile(r"^\| (\d+x\d+x\d+) \| ([\d.]+) \| (\d+ × \d+ × \d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)


def count_tokens(size, pool):
    """Of a blank volume, by the image processor's own word for the text."""
    processor = load_processor("tiny3d")
    processor.image_processor.pool = pool
    volume = np.zeros((1, *size), np.float32)
    processor.image_processor.volume_size = "x".join(map(str, size))
    return processor(text="<image>", images=[volume])["input_ids"][0].count(processor.image_token_id)


def test_the_table_of_sizes_is_what_the_processor_makes_of_them():
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    assert len(rows) == 4
    for text, spacing, field, pooled, unpooled in rows:
        size = parse_volume_size(text)
        assert field == " × ".join(f"{n * float(spacing):g}" for n in size)
        assert [int(pooled), int(unpooled)] == [math.prod(n // unit for n in size) for unit in (16, 8)]
    text, _, _, pooled, unpooled = rows[0]
    assert [count_tokens(parse_volume_size(text), pool) for pool in (2, 1)] == [int(pooled), int(unpooled)]


def test_the_line_of_inspect_labels_is_the_default_of_the_small_model():
    (n,) = re.findall(r"^sMRI scan: volume, 96x112x96 voxels of 2 mm: (\d+) tokens", PAGE.read_text(), re.MULTILINE)
    assert count_tokens((96, 112, 96), 2) == int(n)
