"""What a scan is in its row: the reference, the subject's, or one of several that the row does not tell apart."""


def name_roles(row: dict) -> list[str]:
    """What each scan of a row is called in a page, in their order; "" for the only one.

    A row tells that one is a reference by `metadata.reference_id`, and which by whose scans they are (`subject_ids`,
    where there is one for each scan); of two scans the first. Where that leaves it open, scans are numbered.
    """
    n, metadata = len(row["images"]), row["metadata"]
    if n < 2:
        return [""] * n
    owners, subject, reference = row["subject_ids"], metadata["subject_id"], metadata["reference_id"]
    if reference is not None and reference != subject and len(owners) == n and {subject, reference} <= set(owners):
        return ["the subject's scan" if owner == subject else "reference" for owner in owners]
    if reference is not None and n == 2:
        own = ", of the same subject" if reference == subject else ""
        return [f"reference{own}", "the subject's scan"]
    return [f"scan {number} of {n}" for number in range(1, n + 1)]
