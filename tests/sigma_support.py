"""What of Sigma holds, judged case by case: `python -m tests.sigma_support > docs/sigma-support.md`.

The cases are in `tests.sigma_cases` and `tests.sigma_correlation_cases`.
Rules are judged by `detect.match`, correlations by `detect.correlation.sequences`, refusals by
loading a folder as the detector does.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.engine import Engine, Session
from detect import rules
from detect.correlation.resolve import resolve
from detect.correlation.sequences import match_sequences
from detect.match import match_cases
from detect.ruleset import SETTINGS, compile_rules
from tests import sigma_cases
from tests.sigma_cases import RefusedCase, RuleCases
from tests.sigma_correlation_cases import CORRELATIONS, SequenceCase

PLACEHOLDERS: Final = {"who": ["adm*", "root"]}
SECTIONS: Final = (
    ("Values and fields", sigma_cases.VALUES),
    ("Modifiers", sigma_cases.MODIFIERS),
    ("Conditions", sigma_cases.CONDITIONS),
    ("Filters", sigma_cases.FILTERS),
)
_ID: Final = "5b0f6f0e-1d3c-4f43-9d5e-0a4a5f7c0001"
_HEAD: Final = f"title: T\nid: {_ID}\nlogsource: {{category: firewall}}\n"
_BASE: Final = "".join(
    f"title: {kind}\nname: {kind}\nlogsource: {{category: test}}\ndetection: {{s: {{kind: {kind}}}, condition: s}}\n---\n" for kind in "abc"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the page; `wrong` says which cases do not hold."""

    feature: str
    cases: int
    remark: str
    wrong: tuple[str, ...] = ()


def rule_text(short: str) -> str:
    """The document of a rule written short (`tests.sigma_cases`)."""
    detection = short if "condition:" in short else f"{{s: {{{short}}}, condition: s}}"
    return f"{_HEAD}detection: {detection.replace('{id}', _ID)}\n"


def judge_rules(engine: Engine, cases: Iterable[RuleCases]) -> Iterator[Row]:
    """One row for each feature."""
    for case in cases:
        wanted = [(event, True) for event in case.match] + [(event, False) for event in case.differ]
        asked = [{"rule_yaml": rule_text(case.rule), "event": event, "placeholders": PLACEHOLDERS} for event, _ in wanted]
        results = match_cases(engine, asked)
        wrong = [
            f"{case.rule} on {event}: {result.get('error', result.get('match'))}"
            for (event, match), result in zip(wanted, results, strict=True)
            if result.get("match") is not match
        ]
        yield Row(case.feature, len(wanted), case.remark, tuple(wrong))


def judge_sequences(engine: Engine, cases: Sequence[SequenceCase]) -> Iterator[Row]:
    """One row for each feature; each step is a case."""
    asked = [
        {
            "id": place,
            "rules_yaml": f"{_BASE}{case.more}title: C\ncorrelation: {{{case.correlation}}}\n",
            "steps": [{"t": at, "event": event} for at, event in case.steps],
        }
        for place, case in enumerate(cases)
    ]
    for case, answer in zip(cases, match_sequences(engine, asked), strict=True):
        fires = tuple(one["step"] for one in answer.get("fires", ()) if one["correlation"] == "C")
        wrong = () if "error" not in answer and fires == case.fires else (f"{case.correlation}: {answer}",)
        yield Row(case.feature, len(case.steps), case.remark, wrong)


def judge_refused(engine: Engine, cases: Iterable[RefusedCase]) -> Iterator[Row]:
    """One row for each, the remark being the reason given. A rule of its own beside it must not suffer."""
    session = engine.session({**SETTINGS, "max_threads": 1})
    try:
        for case in cases:
            text = f"{_HEAD}{case.text}\n".replace("{id}", _ID) if case.whole else rule_text(case.text)
            reasons = _reasons(text, session)
            held = len(reasons) == 1 and case.reason.lower() in reasons[0].lower()
            yield Row(case.feature, 1, " / ".join(reasons), () if held else (f"{case.text}: {reasons}",))
    finally:
        session.close()


def _reasons(text: str, session: Session) -> list[str]:
    """Why the detector sets aside what is in `text`; empty when it runs."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rule.yml").write_text(text, "utf-8")
        book = rules.load([Path(folder)], PLACEHOLDERS)
    plan = compile_rules(book.rules, session, (*book.set_aside, *resolve(book).set_aside))
    return [error.reason for error in plan.set_aside]


def sections(engine: Engine) -> Iterator[tuple[str, list[Row]]]:
    """Every case judged: heading and rows."""
    for heading, cases in SECTIONS:
        yield heading, list(judge_rules(engine, cases))
    yield "Correlations", list(judge_sequences(engine, CORRELATIONS))
    yield "Refused at load", list(judge_refused(engine, sigma_cases.REFUSED))


def page(judged: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """The page of what `sections` gives."""
    rows = [row for _, table in judged for row in table]
    wrong = sum(bool(row.wrong) for row in rows)
    total = f"{len(rows)} features, {sum(row.cases for row in rows)} cases; {f'{wrong} features do not hold' if wrong else 'all hold'}."
    return "\n\n".join([_INTRODUCTION.strip(), total, *(_table(heading, table) for heading, table in judged)]) + "\n"


def _table(heading: str, rows: Sequence[Row]) -> str:
    remark = "the reason given" if heading == "Refused at load" else "remark"
    lines = [f"| feature | cases | holds | {remark} |", "| --- | ---: | --- | --- |"]
    lines += [f"| {row.feature} | {row.cases} | {'no' if row.wrong else 'yes'} | {_cell(row.remark)} |" for row in rows]
    return f"## {heading}\n\n{_SAID.get(heading, '')}" + "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


_INTRODUCTION: Final = """
# What of Sigma is supported

Made by `python -m tests.sigma_support > docs/sigma-support.md` from the cases in `tests/sigma_cases.py` and
`tests/sigma_correlation_cases.py`; a test fails when a case does not hold or this page is out of date. The measure is the Sigma
specification 2.1 (SigmaHQ). A case is an event that a rule must match, or must not; of correlations a step at which one must fire, or
must not; of refusals a document that must be set aside, with the reason.

Beside these, `tests/sigma_oracle.py` reads Sigma a second time, and 10,000 random pairs of rule and event must be judged alike.
"""
_SAID: Final = {
    "Correlations": "As `bongsu rules match --sequences` judges them: it tells of every match that completes one. On the stream a\n"
    "correlation fires at the first of them in each timespan (docs/correlation.md).\n\n",
    "Refused at load": "The document is set aside alone, with file, line and reason in the log; nothing is read as something else.\n\n",
}


def main() -> None:
    engine = Engine()
    try:
        sys.stdout.write(page(list(sections(engine))))
    finally:
        engine.close()


if __name__ == "__main__":
    main()
