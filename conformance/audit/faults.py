"""Why an audit ends without a verdict: each is one line."""


class UnreadableObject(ValueError):
    """The file, the function or the call makes no sense: exit 2."""


class NotModelled(Exception):
    """Something that the executor has no meaning for: INCONCLUSIVE, never PASS."""
