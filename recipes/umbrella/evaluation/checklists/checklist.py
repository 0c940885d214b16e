"""checklist.json: what software knows of the items of CLAIM, TRIPOD+AI and STARD-AI, out of a run's own files.

Nothing is claimed that no file says: such an item is the author's to fill, with the reason.
"""

from pathlib import Path
from typing import cast

from umbrella.evaluation.checklists.data_facts import DATA_FACTS
from umbrella.evaluation.checklists.fact import Known
from umbrella.evaluation.checklists.result_facts import RESULT_FACTS
from umbrella.evaluation.checklists.run_facts import RUN_FACTS
from umbrella.evaluation.checklists.run_files import RunFiles
from umbrella.files.yaml_files import read_yaml
from umbrella.records.evaluations import METRICS

FILE_NAME = "checklist.json"
FOLDER = Path(__file__).parent
LISTS = ("claim_2024", "tripod_ai", "stard_ai")
FILLED, PARTLY, OPEN = "filled", "partly filled", "the author's to fill"
READERS = RESULT_FACTS | RUN_FACTS | DATA_FACTS


def build_checklist(files: RunFiles) -> dict:
    """The facts that are known, with the file each is of, why others are not, and the items of each checklist.

    Of an item: `facts` and `evidence`, names of what fills it; `missing`, name → reason; `author`, what only the
    author can say (None where software can say all); `status`.
    """
    facts, unknown = {}, {}
    for name, reader in READERS.items():
        found = reader.read(files)
        if isinstance(found, Known):
            about = {"title": reader.title, "source": reader.source}
            facts[name] = {**about, "value": found.value, "words": found.words}
        else:
            unknown[name] = found
    evidence = files.metrics.get("evidence", {})
    lists = [
        {**checklist, "items": [_fill(item, facts, unknown, evidence) for item in checklist["items"]]}
        for checklist in load_checklists()
    ]
    return {"facts": facts, "unknown": unknown, "checklists": lists}


def load_checklists() -> list[dict]:
    """name, version, doi and items of each, see the files in checklists/."""
    return [cast(dict, read_yaml(FOLDER / f"{name}.yaml")) for name in LISTS]


def _fill(item: dict, facts: dict, unknown: dict, evidence: dict) -> dict:
    wanted, wanted_evidence = item.get("facts", []), item.get("evidence", [])
    missing = {name: unknown[name] for name in wanted if name in unknown}
    absent = f"{METRICS} has no evidence of that name: it was not asked for"
    missing |= {name: absent for name in wanted_evidence if name not in evidence}
    known = [name for name in wanted if name in facts]
    gathered = [name for name in wanted_evidence if name in evidence]
    author = item.get("author")
    status = OPEN if not known + gathered else PARTLY if missing or author else FILLED
    named = {"item": item["item"], "topic": item["topic"], "status": status}
    return {**named, "facts": known, "evidence": gathered, "missing": missing, "author": author}
