"""`digitstrip-train samples`: a contact sheet of made pages."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli.data_options import DataDirOption, DataOption, Source, load_digits
from training.config import StripConfig


def samples(
    out: Annotated[Path, typer.Argument(help="The PNG file to write, or with --each the folder.")],
    data: DataOption = Source.MNIST5K,
    data_dir: DataDirOption = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides everything random.")] = 1,
    count: Annotated[int, typer.Option(min=1, help="Pages on the sheet.")] = 60,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="EFFECT", help="Show this effect and no other; repeatable."),
    ] = None,
    each: Annotated[
        bool,
        typer.Option("--each", help="Draw a picture of each effect, without it and with it."),
    ] = False,
) -> None:
    """Draw a contact sheet of made pages: each with its normalized strip and its text."""
    from training.pages.effects import pictures
    from training.pages.page import make_pages
    from training.pages.samples import draw

    if each and only:
        raise typer.BadParameter("it draws all effects; leave --only out", param_hint="--each")
    unknown = sorted(set(only or []) - set(StripConfig.switches()))
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(unknown)}: expected one of {', '.join(StripConfig.switches())}",
            param_hint="--only",
        )
    from training.data.digits import split

    training, _ = split(load_digits(data, data_dir))
    if each:
        out.mkdir(parents=True, exist_ok=True)
        drawn = dict(pictures(training, seed))
        for name, picture in drawn.items():
            picture.save(out / f"{name}.png", optimize=True)
        typer.echo(f"{len(drawn)} effects in {out}")
        return
    config = StripConfig.only(*only) if only else StripConfig()
    title = f"Only {', '.join(only)}" if only else "Made pages"
    out.parent.mkdir(parents=True, exist_ok=True)
    draw(make_pages(training, seed, count, config), title).save(out, format="PNG")
    typer.echo(f"{count} pages in {out}")
