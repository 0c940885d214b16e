"""What a run does with its time and memory: GPU memory at each logging step, one table at the end."""

import resource
import sys
import time

import torch
from transformers import Trainer

from umbrella.conversations.encoder import IGNORE_INDEX


class MeasuredTrainer(Trainer):
    """A Trainer that counts rows, tokens and the time that it waits for data.

    After `train` its metrics hold, over all processes: samples_per_second, tokens_per_second (padding not counted),
    data_wait_share (of the time, of the slowest process), supervised_token_share, peak_memory_gib (of the largest
    process) and, on GPUs, peak_gpu_memory_gib.
    """

    def train(self, *args, **kwargs):
        self._counts = dict.fromkeys(("rows", "tokens", "supervised"), 0)
        self._waited, self._started = 0.0, time.perf_counter()
        return super().train(*args, **kwargs)

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        batches, n_items = super().get_batch_samples(self._time(epoch_iterator), num_batches, device)
        for batch in batches:
            self._counts["rows"] += sum(task_id is not None for task_id in batch["task_ids"])
            self._counts["tokens"] += batch["attention_mask"].sum()
            self._counts["supervised"] += (batch["labels"] != IGNORE_INDEX).sum()
        return batches, n_items

    def _time(self, batches):
        """The same batches; adds the seconds that each is waited for."""
        start = time.perf_counter()
        for batch in batches:
            self._waited += time.perf_counter() - start
            yield batch
            start = time.perf_counter()
        self._waited += time.perf_counter() - start

    def log(self, logs, start_time=None):
        if torch.cuda.is_available() and "loss" in logs:
            logs["gpu_memory_allocated_gib"] = round(torch.cuda.memory_allocated() / 2**30, 3)
            logs["gpu_memory_reserved_gib"] = round(torch.cuda.memory_reserved() / 2**30, 3)
        super().log(logs, start_time)

    def measure_run(self) -> dict[str, float]:
        """The numbers of the table, the same on every process; each must call this."""
        seconds = time.perf_counter() - self._started
        sums = [float(self._counts[name]) for name in ("rows", "tokens", "supervised")]
        own = torch.tensor(
            [*sums, self._waited / seconds, peak_memory_gib(), peak_gpu_memory_gib()], device=self.args.device
        )
        every = self.accelerator.gather(own[None])  # (processes, 6)
        rows, tokens, supervised = every[:, :3].sum(dim=0).tolist()
        wait, memory, gpu_memory = every[:, 3:].amax(dim=0).tolist()
        measured = {
            "samples_per_second": rows / seconds,
            "tokens_per_second": tokens / seconds,
            "data_wait_share": wait,
            "supervised_token_share": supervised / max(tokens, 1),
            "peak_memory_gib": memory,
        }
        return measured | ({"peak_gpu_memory_gib": gpu_memory} if torch.cuda.is_available() else {})


def to_table(measured: dict[str, float]) -> str:
    """The measured numbers for a person."""
    lines = [
        f"samples per second        {measured['samples_per_second']:.2f}",
        f"tokens per second         {measured['tokens_per_second']:.0f}",
        f"waiting for data          {measured['data_wait_share']:.1%} of the time",
        f"supervised tokens         {measured['supervised_token_share']:.1%} of the tokens",
        f"peak memory of a process  {measured['peak_memory_gib']:.2f} GiB",
    ]
    if "peak_gpu_memory_gib" in measured:
        lines.append(f"peak memory of a GPU      {measured['peak_gpu_memory_gib']:.2f} GiB")
    return "\n".join(lines)


def peak_memory_gib() -> float:
    """The most memory that this process has had."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def peak_gpu_memory_gib() -> float:
    """The most memory that this process's tensors have had on its GPU; 0 without one."""
    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
