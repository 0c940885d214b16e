"""Which rows there are and in which order, and the way from a row to a batch: transform, collator, a look at labels.

It knows no trainer and no answers.
"""

__all__ = [
    "blank_scans",
    "cache_filling",
    "changed_scans",
    "cohort_labels",
    "cohort_names",
    "collator",
    "cpu_threads",
    "division",
    "kept_views",
    "label_report",
    "length_check",
    "loading",
    "packing",
    "perturbed_scans",
    "published",
    "push_manifest",
    "remote_scans",
    "scan_list",
    "scan_places",
    "transform",
]
