"""Sections to `lecture.md`, and to a table for the terminal."""

from collections.abc import Mapping

from rich.table import Table

from training.lecture.chapter import Chapter, Claim, Held, Section

COMMAND = "digitstrip-train lecture"
INTRODUCTION = """# The lecture, reproduced

Digitstrip grows out of a lecture on how convolutional networks came about (LeCun 2020) and the papers
behind it. Every system that it describes runs here, small and exact, with its claim measured. If you
read one chapter, read [the seventh](#7-the-sliding-window): it shows why the service cuts nothing into
characters.

No figure on this page is typed by hand: the command measures, draws, and writes the page. The code of a
chapter is one module in `training/lecture/`, to be read beside its section.
"""


def minutes(seconds: float) -> str:
    """Return a duration in words."""
    return f"{max(seconds, 1):.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"


def anchor(chapter: Chapter) -> str:
    """Return the fragment by which GitHub links to a chapter's heading."""
    kept = "".join(c for c in heading(chapter).lower() if c.isalnum() or c in " -")
    return kept.replace(" ", "-")


def heading(chapter: Chapter) -> str:
    """Return a chapter's heading."""
    return f"{chapter.number}. {chapter.title}"


def page(sections: Mapping[Chapter, Section], made: Mapping[int, str], seconds: float) -> str:
    """Return the whole page as Markdown.

    Args:
        sections: each chapter's section, in order.
        made: for each chapter's number, the command, seed and data behind its figures.
        seconds: that all measuring took.
    """
    claims = [claim for section in sections.values() for claim in section.claims]
    counted = {held: sum(claim.held is held for claim in claims) for held in Held}
    summary = (
        f"Of {len(claims)} claims, {counted[Held.YES]} held, {counted[Held.PARTLY]} held in part, "
        f"{counted[Held.NO]} did not. Measuring took at most {minutes(seconds)} of one core "
        f"in all. `{COMMAND}` does it again; with chapters' numbers behind it, those alone.\n"
    )
    contents = [
        f"{chapter.number}. [{chapter.title}](#{anchor(chapter)}): "
        + ", ".join(_tally(section.claims))
        for chapter, section in sections.items()
    ]
    parts = [INTRODUCTION, summary, "\n".join(contents), ""]
    for chapter, section in sections.items():
        parts += [
            f"## {heading(chapter)}",
            "",
            f"*{_unmarked(chapter.source)}.*",
            "",
            claims_table(section.claims),
            section.text.rstrip(),
            "",
            f"<sub>{made[chapter.number]}</sub>",
            "",
        ]
    return "\n".join(parts)


def claims_table(claims: tuple[Claim, ...]) -> str:
    """Return a chapter's claims as a Markdown table."""
    rows = ["| the claim | the paper | ours | |", "|---|---|---|---|"]
    rows += [
        f"| {' | '.join(_cell(each) for each in (claim.says, claim.paper or '–', claim.ours))} "
        f"| **{claim.held}** |"
        for claim in claims
    ]
    return "\n".join(rows)


def terminal(chapter: Chapter, section: Section) -> Table:
    """Return a chapter's claims, ours beside the paper's, for the terminal."""
    shown = Table("claim", "paper", "ours", "", title=heading(chapter), box=None, expand=True)
    colors = {Held.YES: "green", Held.PARTLY: "yellow", Held.NO: "red"}
    for claim in section.claims:
        verdict = f"[{colors[claim.held]}]{claim.held}[/]"
        shown.add_row(claim.says, claim.paper or "–", claim.ours, verdict)
    return shown


def _cell(text: str) -> str:
    """Return text that a Markdown table does not take apart: |x| holds its columns' sign."""
    return text.replace("|", "\\|")


def _tally(claims: tuple[Claim, ...]) -> list[str]:
    counted = [(held, sum(claim.held is held for claim in claims)) for held in Held]
    return [f"{count} {held}" for held, count in counted if count]


def _unmarked(source: str) -> str:
    """Return a source whose emphasis survives inside emphasis."""
    return source.replace("*", "")
