"""How numbers of things are written, in logs, checks and pages."""


def counted(number: int, what: str) -> str:
    """A number of things.

    Examples
    --------
    >>> counted(1, "store"), counted(2000, "store")
    ('1 store', '2,000 stores')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"
