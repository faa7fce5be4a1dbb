"""What an approver reads, in Markdown: in the resume dialog, and as an artifact on the run's page.

What others wrote (the customer, the model, a tool) stands in blocks that are indented as code. Nothing in them is
Markdown or HTML, no line of theirs can end the block, and what a browser would not show as itself is written out.
"""

from __future__ import annotations

import html
import json
import textwrap
import unicodedata
from collections.abc import Iterator

from triptych.records import ApprovalDecision, ApprovalRequest

_WIDTH = 54
"""The dialogs of both versions of the UI show that much of a line of code."""
_wrap = textwrap.TextWrapper(width=_WIDTH, replace_whitespace=False, drop_whitespace=False, expand_tabs=False).wrap
GOES_ON = "\u21aa"
"""Begins what goes on of a line of a diff, and no line of a diff: what is added is never taken for what is removed."""
MOST_CHARACTERS = 8_000
"""Of one block. A page that has to be scrolled for minutes hides what it says."""
_OTHERWISE = {
    "deny": "it is denied, and the agent is told that nobody answered",
    "approve": "**it is done all the same**",
    "fail": "it is not done, and the run fails",
}
_DONE = {
    "approved": "Approved",
    "denied": "Denied",
    "expired": "Not done: nobody answered in time",
    "escalated": "Nobody answered in time; the next one is asked",
}


def page(request: ApprovalRequest, refused: str = "", *, whole: bool = False) -> str:
    """Return what the approver reads.

    Args:
        request: What is asked.
        refused: Why an earlier answer could not be used; empty where there was none.
        whole: Whether long texts are shown to their end.
    """
    most = None if whole else MOST_CHARACTERS
    # The short ones first: a long one cannot hide them.
    arguments = dict(sorted(request.arguments.items(), key=lambda item: len(json.dumps(item[1]))))
    lines = [f"## May the agent do this? ({_code(request.tool)})", ""]
    if refused:
        lines += ["**The last answer could not be used, so you are asked again:**", "", block(refused), ""]
    lines += [
        f"- **Amount:** {amount(request)}",
        f"- **Asked because:** {_code(request.why)}",
        f"- **Asked of:** {_code(request.asked_of) if request.asked_of else 'whoever may decide'}",
        f"- **If nobody answers** by {request.deadline:%Y-%m-%d %H:%M:%S} UTC: {_otherwise(request)}.",
        f"- **Request:** `{request.id}`, fingerprint `{request.fingerprint}`",
        "",
        "What it would be called with:",
        "",
        block(json.dumps(arguments, indent=1, ensure_ascii=True), most),
        *(_change(request.change, most) if request.change else []),
        "",
        "What the agent says about it:",
        "",
        block(request.explanation or "(nothing)", most),
        "",
        "What the agent was told:",
        "",
        block(request.words, most),
    ]
    return "\n".join(lines)


def entry(request: ApprovalRequest, decision: ApprovalDecision, *, whole: bool = False) -> str:
    """Return a decided request, as it stands on the run's page."""
    # The amount is that of the call as it was asked about.
    changed = decision.arguments is not None
    what = (
        f", with other arguments: {_code(request.tool)}" if changed else f": {_code(request.tool)}, {amount(request)}"
    )
    lines = [
        f"## {_DONE[decision.outcome]}{what}",
        "",
        f"- **By:** {_by(decision)}",
        f"- **At:** {decision.decided_at:%Y-%m-%d %H:%M:%S} UTC, asked {request.asked_at:%Y-%m-%d %H:%M:%S} UTC "
        f"({decision.attempts} {'time' if decision.attempts == 1 else 'times'})",
        f"- **Reason:** {_code(decision.reason) if decision.reason else 'none given'}",
        "",
    ]
    if decision.arguments is not None:
        lines += ["**Changed by that person.** It is called with:", "", block(json.dumps(decision.arguments, indent=1))]
    return "\n".join([*lines, "", "---", "", page(request, whole=whole)])


def amount(request: ApprovalRequest) -> str:
    """Return what a call would pay out, in words."""
    value = request.amount_usd
    return "unknown" if value is None or value != value else f"{value:,.2f} USD"


def _by(decision: ApprovalDecision) -> str:
    if decision.claimed_name is None:
        return "the policy; nobody answered"
    return f"{_code(decision.claimed_name)} (a claim: Prefect knows no users), by {decision.way}"


def _otherwise(request: ApprovalRequest) -> str:
    if request.when_nobody_answers == "escalate":
        return f"{_code(request.escalates_to[0])} is asked"
    return _OTHERWISE[request.when_nobody_answers]


def _code(text: str) -> str:
    """Return others' words in a line of ours."""
    return f"`{html.escape(_visible(' '.join(text.split())), quote=False).replace('`', chr(39))}`"


def block(text: str, most: int | None = MOST_CHARACTERS) -> str:
    """Return others' words, indented as code; long lines go on in the next, where a dialog would hide their end."""
    rest = 0 if most is None else len(text) - most
    lines = text[:most].splitlines() or [""]
    if rest > 0:
        lines.append(f"[... {rest} more characters; `triptych approvals show` has them all]")
    return "\n".join(f"    {part}" for line in lines for part in _wrap(_visible(line)) or [""])


def diff_block(text: str, most: int | None = MOST_CHARACTERS, *, rest_is: str = "in the patch itself") -> str:
    """Return a diff, indented as code; what goes on of a long line is marked, and stays in that line's column.

    Args:
        text: The diff.
        most: Of its characters.
        rest_is: Where the others are.
    """
    rest = 0 if most is None else len(text) - most
    lines = [part for line in text[:most].splitlines() or [""] for part in _parts(_visible(line).expandtabs(8))]
    if rest > 0:
        lines.append(f"[... {rest} more characters, {rest_is}]")
    return "\n".join(f"    {line}" for line in lines)


def _parts(line: str) -> Iterator[str]:
    """Give a line of a diff in parts that a dialog shows whole; a wide letter takes two places."""
    goes_on = GOES_ON + (line[:1] if line[:1] in ("+", "-", " ") else "")
    part, width = "", 0
    for each in line:
        needed = 2 if unicodedata.east_asian_width(each) in ("W", "F") else 1
        if width + needed > _WIDTH:
            yield part
            part, width = goes_on, len(goes_on)
        part, width = part + each, width + needed
    yield part


def _change(change: str, most: int | None) -> list[str]:
    where = "in the artifact of this run that holds the whole patch"
    return ["", f"What it would change (all of it stands {where}):", "", diff_block(change, most, rest_is=where)]


def _visible(text: str) -> str:
    """Write out what has no shape of its own: directions of writing, joiners, control characters."""
    return "".join(
        each if each == "\t" or unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else _escaped(each)
        for each in text
    )


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}"
