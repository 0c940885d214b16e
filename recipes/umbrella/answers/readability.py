"""Whether a model's answers can be read at all."""

MOST_UNREADABLE = 0.5  # of the answers
SHOWN = 60  # characters of an answer


def describe_unreadable(records: list[dict], max_new_tokens: int) -> str | None:
    """What to change where most answers state none of the labels, or no number; None where most do, and for free text.

    records  of predictions.jsonl
    """
    for parsed, what in (("parsed_label", "none of the labels"), ("parsed_number", "no number")):
        unreadable = [record for record in records if parsed in record and record[parsed] is None]
        if records and len(unreadable) > MOST_UNREADABLE * len(records):
            return (
                f"{len(unreadable)} of {len(records)} answers state {what}, the first: "
                f"{unreadable[0]['prediction'][:SHOWN]!r}. They count as wrong. If they are no sentences, the "
                "model has not learned to answer: train it longer or with a higher --learning_rate. If they are cut "
                f"off, raise --max_new_tokens (it is {max_new_tokens}). If they use other words than "
                "metadata.subject_label, correct the data: a label must stand in the answers that are trained."
            )
    return None
