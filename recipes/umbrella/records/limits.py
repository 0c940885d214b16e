"""What an evaluation found that speaks against its model, in sentences: for the model's card and for checklists."""

# Verdicts that are weaknesses. "cannot tell" is one too: what was not shown is not known.
WEAK = frozenset(("ignores", "text suffices", "stay", "worse", "as well", "cannot tell"))


def list_limits(metrics: dict) -> list[str]:
    """The sentences of a metrics.json that a user of the model must know.

    Subjects that it was or may have been trained on, answers that say nothing, scans that it does not surely need,
    simple models and confounds that it does not surely beat, and the `limits` of each evidence. Of an evaluation whose
    tests took rows as independent the first two alone.
    """
    leakage = metrics.get("leakage") or ""
    limits = [leakage] if leakage.startswith(("WARNING", "Not known")) or "cannot be excluded" in leakage else []
    if unread := metrics.get("unparseable"):
        limits.append(f"{unread} of {metrics['n']} answers could not be read: they count as wrong.")
    if not takes_rows_as_independent(metrics):
        weak = WEAK | {"reacts"} if _has_scores(metrics) else WEAK
        limits += [entry["sentence"] for entry in _list_judged(metrics) if entry.get("verdict") in weak]
    limits += [sentence for entry in metrics.get("evidence", {}).values() for sentence in entry.get("limits", ())]
    return list(dict.fromkeys(limits))


def takes_rows_as_independent(metrics: dict) -> bool:
    """Whether an earlier version wrote it, whose tests took the rows of one subject as independent."""
    return any("mcnemar_p" in entry for entry in metrics.get("controls", {}).values())


def _has_scores(metrics: dict) -> bool:
    """Whether answers are right or wrong: a model that only reacts to a scan then gains nothing by it. Of free text to
    react is all that can be shown."""
    return any("paired" in entry for entry in metrics.get("controls", {}).values())


def _list_judged(metrics: dict) -> list[dict]:
    beside = metrics.get("baselines", {}).get("models", {})
    confounds = [metrics["confounds"]] if "confounds" in metrics else []
    return [*metrics.get("verdicts", {}).values(), *beside.values(), *confounds]
