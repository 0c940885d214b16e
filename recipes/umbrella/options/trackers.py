"""Trackers that a run may report to: whether they are installed, and what they are sent."""

import logging
from collections.abc import Sequence

from transformers.integrations import is_tensorboard_available, is_wandb_available

from umbrella.options.extras import describe_missing

logger = logging.getLogger(__name__)


def check_trackers(report_to: Sequence[str]) -> None:
    """Raises ValueError that tells what to install for a tracker that is not; warns of those that are sent paths."""
    for name, is_available in (("tensorboard", is_tensorboard_available), ("wandb", is_wandb_available)):
        if name in report_to and not is_available():
            raise ValueError(describe_missing(name, f"--report_to {name}", name))
    others = sorted(set(report_to) - {"tensorboard", "wandb"})
    if others:
        logger.warning("--report_to %s: these are sent all arguments, paths included", " ".join(others))
