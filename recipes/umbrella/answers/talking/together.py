"""Several models answer at once, each its own row."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event

from umbrella.answers.talking.talker import Reply, Talker


def answer_together(talkers: Sequence[Talker], rows: Sequence[dict], stop: Event) -> Iterator[list[Reply | None]]:
    """What each has said so far, None of one that has said nothing, whenever one says more.

    Raises the first error of one of them, which ends the others; so does `stop`, see `Talker.answer`.
    """
    said: SimpleQueue[tuple[int, Reply | BaseException | None]] = SimpleQueue()

    def follow(number: int) -> None:
        try:
            for reply in talkers[number].answer(rows[number], stop):
                said.put((number, reply))
            said.put((number, None))
        except BaseException as error:  # whatever it is, it is raised where it is read
            said.put((number, error))

    replies: list[Reply | None] = [None] * len(talkers)
    with ThreadPoolExecutor(len(talkers), thread_name_prefix="together") as threads:
        for number in range(len(talkers)):
            threads.submit(follow, number)
        try:
            n_left = len(talkers)
            while n_left:
                number, reply = said.get()
                if isinstance(reply, BaseException):
                    raise reply
                if reply is None:
                    n_left -= 1
                    continue
                replies[number] = reply
                yield list(replies)
        finally:
            stop.set()
