"""Somebody's text on its way into a file of ours: what cannot be seen is written out."""


def visible(text: str) -> str:
    """A text whose control characters, and all else that is not printed, are escapes.

    A line's end and a tab stay. What is left is valid in XML, and moves no cursor.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(ord(c)) for c in text)


def line(text: str) -> str:
    """A text in one line, what cannot be seen in it written out."""
    return visible(" ".join(text.split()))


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
