"""What every step of a cohort shares: visits, exclusions, findings, the places of scans.

It knows no table and no tree.
"""

__all__ = [
    "findings",
    "scan_places",
    "study",
    "visits",
]
