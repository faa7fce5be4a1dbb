"""Show a person what a model wrote: nothing in it hides, nothing in it passes for ours, and it has an end."""

from __future__ import annotations

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
_BLANK = set("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc\U00016fe4\U0001d159")
"""Letters, marks and signs that show nothing: Unicode's `Default_Ignorable_Code_Point`, and a few more."""


def visible(text: str) -> str:
    r"""Return text in which each control, direction, invisible or odd space character is written `<U+001B>`."""
    return "".join(f"<U+{ord(each):04X}>" if _is_hidden(each) else each for each in text)


def _is_hidden(character: str) -> bool:
    if character in "\t " or " " < character <= "~":
        return False
    category = unicodedata.category(character)
    # Variation selectors are marks, and enough of them to hide a text.
    is_selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return category in _HIDDEN or category == "Zs" or character in _BLANK or is_selector
