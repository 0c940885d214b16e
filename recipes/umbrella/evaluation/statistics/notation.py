"""Numbers as papers write them."""


def percent(share: float) -> str:
    """A share as papers write it.

    >>> percent(0.9834)
    '98.3 %'
    """
    return f"{100 * share:.1f} %"


def number(value: float) -> str:
    """Three significant digits, no exponent for everyday sizes.

    >>> number(3.14159), number(12345.6)
    ('3.14', '12,346')
    """
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def format_p(p: float) -> str:
    """A p-value as papers write it.

    >>> format_p(0.0000012), format_p(0.0312)
    ('< 0.001', '= 0.031')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
