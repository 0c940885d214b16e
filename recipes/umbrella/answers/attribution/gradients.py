"""Gradient × input: the answer's gradient in each element of a view, times what stands there above the background.

It is the first-order guess of what occlusion measures, equal to it for a linear model; against the background's value,
not against 0, which in a standardised scan is a middle grey (Ancona et al. 2018, ICLR).
"""

import numpy as np
import torch

from umbrella.answers.attribution.boxes import BoxedView
from umbrella.answers.attribution.maps import GRADIENT, AttributionMap, spread_over_cells
from umbrella.answers.attribution.occlusion import BOX_MM
from umbrella.answers.attribution.scan_in_row import ScanInRow
from umbrella.answers.scoring import answer_log_likelihoods
from umbrella.conversations.encoder import ConversationEncoder
from umbrella.conversations.turns import repeat_image_items

DIGIT = 1 << 12  # elements are numbered by two digits, each of which float32 holds


def map_gradient(scan: ScanInRow, box_mm: float = BOX_MM) -> AttributionMap:
    """Gradient × (shown - background), element by element, and its sum in each box of `box_mm`.

    Raises ValueError where the model has no gradient, or where its processor resizes or mixes pixels itself.
    """
    blank_view = np.full_like(scan.view, scan.background)
    inputs, labels = scan.to_inputs([scan.encode(scan.view)])
    blank, _ = scan.to_inputs([scan.encode(blank_view)])
    numbers = _number_elements(scan)
    pixels = inputs["pixel_values"].requires_grad_()
    with torch.enable_grad():
        found = answer_log_likelihoods(scan.model(**inputs).logits, labels)
        (gradient,) = _differentiate(found, pixels)
    product = (gradient.float() * (pixels.detach() - blank["pixel_values"])).cpu().numpy().ravel()
    is_ours = numbers >= 0
    of_view = np.bincount(numbers[is_ours], product[is_ours], scan.view.size).reshape(scan.view.shape)
    boxed = BoxedView.of_view(scan.view, scan.background, scan.places, box_mm)
    alike = tuple(axis for axis, n in enumerate(boxed.cells.shape) if n == 1)
    of_elements = of_view.sum(axis=alike, keepdims=True)
    of_cells = boxed.add_up(of_elements)
    boxes = boxed.list_boxes(0)
    drops = np.array([of_cells[list(box.cells)].sum() for box in boxes])
    by_cell = spread_over_cells(boxed, boxes, drops)
    by_cell = np.where(np.isnan(by_cell) & (boxed.shown > 0), 0.0, by_cell)
    volume = scan.places.lay(of_elements.ravel()[scan.places.elements])
    whole = float(of_view.sum())
    return AttributionMap(GRADIENT, float(found.item()), whole, boxed, boxes, drops, by_cell, volume, 1)


def _differentiate(found: torch.Tensor, pixels: torch.Tensor) -> tuple[torch.Tensor, ...]:
    try:
        return torch.autograd.grad(found.sum(), [pixels])
    except (RuntimeError, NotImplementedError) as error:
        raise ValueError(
            f"gradient: expected a model whose answer has a gradient in the pixels, found none ({error}). "
            "Take occlusion"
        ) from error


def _number_elements(scan: ScanInRow) -> np.ndarray:
    """Which element of the scan's view each of the processor's `pixel_values` is, as the processor orders them: (n,),
    -1 for those of other scans and of padding."""
    transform = scan.transform  # one that rescales or normalises would change the numbers
    as_they_are = dict.fromkeys(("do_resize", "do_rescale", "do_normalize"), False)
    encoder = ConversationEncoder(transform.processor, **transform.encoder.images_kwargs | as_they_are)
    turns = repeat_image_items(scan.row["conversations"], transform.n_images)
    order = np.arange(scan.view.size).reshape(scan.view.shape)
    others = [np.zeros_like(view) for view in scan.views]

    def rearrange(view: np.ndarray) -> np.ndarray:
        views = [view if i == scan.number else other for i, other in enumerate(others)]
        images = views if transform.is_volume else [image for of_scan in views for image in of_scan]
        return encoder.encode(turns, images)["pixel_values"].float().numpy().ravel()

    high, low = (rearrange(digit.astype(np.float32)) for digit in (order // DIGIT + 1, order % DIGIT))
    numbers = (high.astype(int) - 1) * DIGIT + low.astype(int)
    is_ours = high > 0
    shown = rearrange(scan.view)
    n_values = scan.encode(scan.view)["pixel_values"].numel()
    found = scan.view.ravel()[numbers[is_ours] % scan.view.size]
    if n_values != len(shown) or not np.array_equal(shown[is_ours], found):
        raise ValueError(
            "gradient: expected a processor that leaves the pixels of a view as they are, found one that resizes "
            "them. Take occlusion"
        )
    return np.where(is_ours, numbers, -1)
