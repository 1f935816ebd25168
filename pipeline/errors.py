"""The one exception that means: the user must act."""


class UserError(Exception):
    """Something only the user can fix; the message is one line that names the file and the remedy."""
