"""What each of several cohorts has of rows, tokens and loss; its own loss, in training and in evaluation."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from umbrella.conversations.ignore_index import IGNORE_INDEX
from umbrella.rows.cohort_names import cohort_of

ROWS, TOKENS, SUPERVISED, LOSS = range(4)  # what is summed for each cohort


class CohortLog:
    """Sums over the batches that it is shown, for cohorts by the first part of their rows' names, NAME/task_id.

    Args:
        names: of the cohorts. With none nothing is summed and nothing comes out.
    """

    def __init__(self, names: Sequence[str], accelerator: Accelerator) -> None:
        self.names, self.accelerator = tuple(names), accelerator
        self._place = {name: place for place, name in enumerate(self.names)}
        self._since_log = torch.zeros(len(self.names), 4, dtype=torch.float64)
        self._in_all = torch.zeros(len(self.names), 4, dtype=torch.float64)
        self._evaluated: dict[str, tuple[float, int]] = {}  # task_id → loss of its row, its supervised tokens

    def add(
        self, task_ids: Sequence[str | None], batch: dict, row_losses: torch.Tensor | None, *, trains: bool
    ) -> None:
        """Count a batch of (B, T) `attention_mask` and `labels`. Rows without a name are blank.

        row_losses  (B,) sums over each row's tokens; None where they are not known
        trains      or evaluates, where each row counts once however often it comes
        """
        n = len(task_ids)
        mask, labels = batch["attention_mask"][:n], batch["labels"][:n, 1:]
        losses = torch.full((n,), torch.nan) if row_losses is None else row_losses[:n].float().cpu()
        tokens, supervised = mask.sum(dim=1).cpu(), (labels != IGNORE_INDEX).sum(dim=1).cpu()
        for row, task_id in enumerate(task_ids):
            if task_id is None:
                continue
            if trains:
                sums = [1, tokens[row].item(), supervised[row].item(), losses[row].item()]
                self._since_log[self._place[cohort_of(task_id)]] += torch.tensor(sums, dtype=torch.float64)
            else:
                self._evaluated[task_id] = losses[row].item(), int(supervised[row].item())

    def take(self) -> dict[str, float]:
        """What the training since the last call has come to over all processes, the same on each; each must call this.

        NAME each: loss_NAME, the mean over its supervised tokens; of all cohorts its loss_share_NAME, token_share_NAME
        and row_share_NAME. No loss where it is not known; nothing of a cohort without a row.
        """
        if not self.names:
            return {}
        sums = self._reduce(self._since_log)
        self._in_all += sums
        self._since_log.zero_()
        return self._describe(sums)

    def measure(self) -> dict[str, float]:
        """The same of the whole training; each process must call this."""
        self.take()
        return self._describe(self._in_all)

    def take_evaluation(self) -> dict[str, float]:
        """loss_NAME of the rows that were evaluated since the last call, on whatever process; each must call this."""
        if not self.names:
            return {}
        every = dict(gather_object(list(self._evaluated.items())))  # a row that fills up a last batch comes twice
        self._evaluated = {}
        sums = torch.zeros(len(self.names), 2, dtype=torch.float64)
        for task_id, (loss, n) in every.items():
            sums[self._place[cohort_of(task_id)]] += torch.tensor([loss, n], dtype=torch.float64)
        means = (sums[:, 0] / sums[:, 1]).tolist()
        return {f"loss_{name}": mean for name, mean in zip(self.names, means, strict=True) if mean == mean}

    def _reduce(self, sums: torch.Tensor) -> torch.Tensor:
        device = self.accelerator.device
        wide = torch.float32 if device.type == "mps" else torch.float64
        return self.accelerator.reduce(sums.to(device, wide)).double().cpu()

    def _describe(self, sums: torch.Tensor) -> dict[str, float]:
        shares = sums / sums.sum(dim=0)
        found = {}
        for name, own, share in zip(self.names, sums.tolist(), shares.tolist(), strict=True):
            if not own[ROWS]:
                continue
            if own[SUPERVISED] and own[LOSS] == own[LOSS]:  # else nan, not measured
                found |= {f"loss_{name}": own[LOSS] / own[SUPERVISED], f"loss_share_{name}": share[LOSS]}
            found |= {f"token_share_{name}": share[TOKENS], f"row_share_{name}": share[ROWS]}
        return found


def describe_cohorts(names: Sequence[str], measured: dict[str, float]) -> list[str]:
    """A table of what each cohort had, for a person; empty where there are not several."""
    width = max(map(len, names), default=0)
    lines = []
    for name in names:
        if f"row_share_{name}" not in measured:
            lines.append(f"cohort {name:<{width}}  no row yet")
            continue
        parts = [f"{measured[f'{kind}_share_{name}']:.1%} of the {kind}s" for kind in ("row", "token")]
        if f"loss_{name}" in measured:
            parts.append(f"{measured[f'loss_share_{name}']:.1%} of the loss, {measured[f'loss_{name}']:.4g} a token")
        lines.append(f"cohort {name:<{width}}  {', '.join(parts)}")
    return lines
