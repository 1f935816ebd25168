"""The one exception that means: the user must act."""


class UserError(Exception):
    """Something only the user can fix; the message is one line that names the file and the remedy."""


_LONGEST = 300


def short(value: object) -> str:
    """A value as a message repeats it: on one line, and cut where it is long."""
    text = " ".join(str(value)[: 2 * _LONGEST].split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
