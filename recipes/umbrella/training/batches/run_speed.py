"""What a run does with its time and memory: GPU memory at each logging step, one table at the end."""

import resource
import sys
import time
from collections.abc import Iterator

import torch
from accelerate import Accelerator

from umbrella.conversations.ignore_index import IGNORE_INDEX


class RunSpeed:
    """Counts rows, tokens and the time that a run waits for data, from when it is made."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.rows = self.tokens = self.supervised = 0
        self.waited, self.started = 0.0, time.perf_counter()

    def watch(self, batches: Iterator[dict]) -> Iterator[dict]:
        """The same batches, counted as they are taken."""
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            self.rows += sum(task_id is not None for task_id in batch["task_ids"])
            self.tokens += batch["attention_mask"].sum()
            self.supervised += (batch["labels"] != IGNORE_INDEX).sum()
            yield batch

    def measure(self) -> dict[str, float]:
        """The numbers of the table over all processes, the same on each; each must call this.

        samples_per_second, tokens_per_second (padding not counted), data_wait_share (of the time, of the slowest
        process), supervised_token_share, peak_memory_gib (of the largest process) and, on GPUs, peak_gpu_memory_gib.
        """
        seconds = time.perf_counter() - self.started
        sums = [float(self.rows), float(self.tokens), float(self.supervised)]
        own = torch.tensor(
            [*sums, self.waited / seconds, peak_memory_gib(), peak_gpu_memory_gib()], device=self.accelerator.device
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


def read_gpu_memory() -> dict[str, float]:
    """What a line of losses tells of a GPU's memory; nothing without one."""
    if not torch.cuda.is_available():
        return {}
    return {
        "gpu_memory_allocated_gib": round(torch.cuda.memory_allocated() / 2**30, 3),
        "gpu_memory_reserved_gib": round(torch.cuda.memory_reserved() / 2**30, 3),
    }


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
