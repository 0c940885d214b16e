"""How a command starts and ends: exits, failed writes, progress, what of the libraries' lines is shown.

It knows no flag.
"""

__all__ = [
    "control_signs",
    "ending",
    "free_port",
    "progress",
]
