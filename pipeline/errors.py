"""The one exception that means: the user must act."""

import unicodedata


class UserError(Exception):
    """Something only the user can fix; the message is one line that names the file and the remedy."""


class HeldError(UserError):
    """Another process writes the same files."""


class ChangedError(UserError):
    """A model was replaced while it was read; reading it again helps."""


_LONGEST = 300


def short(value: object) -> str:
    """A value as a message repeats it: on one line, and cut where it is long."""
    text = " ".join(str(value)[: 2 * _LONGEST].split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def odd_character(text: str) -> str:
    """The first character that is no ASCII and may look as if it were, in words; empty where there is none."""
    at = next((k for k, one in enumerate(text) if not one.isascii()), None)
    if at is None:
        return ""
    return f": its character {at + 1} is U+{ord(text[at]):04X} ({unicodedata.name(text[at], 'without a name').lower()})"
