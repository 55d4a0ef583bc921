"""Which of several forms a page is: the one whose code it has, or whose print is in its place."""

from collections.abc import Sequence
from dataclasses import replace

from service.errors import BadForm
from service.forms.register import Registration, Status, register
from service.forms.template import Form
from service.imaging.page import Gray

LEAD = 0.1  # share of the print by which the best form is better than the next


def choose(gray: Gray, forms: Sequence[Form]) -> tuple[Form, Registration]:
    """Register a page as each form; return the one that it is.

    A page that two forms fit about as well, and no code tells apart, is misregistered.

    Args:
        gray: (height, width) of the page.
        forms: at least one.
    """
    tried = [(form, register(gray, form)) for form in forms]
    if len(tried) == 1:
        return tried[0]
    tried.sort(key=lambda each: each[1].inliers or 0.0, reverse=True)  # ties stay in order
    fitting = [each for each in tried if each[1].status is Status.REGISTERED]
    coded = [each for each in fitting if each[1].coded]
    fitting = coded or fitting
    if not fitting:
        return tried[0]
    (form, best), *others = fitting
    close = [each for each in others if _share(each[1]) > _share(best) - LEAD]
    if not close:
        return form, best
    fit = " and ".join(
        f"{each.name!r} ({_share(seen):.0%})" for each, seen in [(form, best), *close]
    )
    why = f"several forms have their print in place: {fit}; give them a code that tells them apart"
    return form, replace(best, status=Status.MISREGISTERED, why=why, warp=None)


def check(forms: Sequence[Form]) -> None:
    """Check that a page can be told to be one of several forms, and that a row names which.

    Raises:
        BadForm: it cannot.
    """
    names = [each.name for each in forms]
    for form in forms:
        if names.count(form.name) > 1:
            raise BadForm(f"two forms have the name {form.name!r}; expected another for each")
        if len(forms) > 1 and form.registration.by == "none" and form.print is None:
            raise BadForm(
                f"form {form.name!r} would fit every page of its shape; to choose among several "
                "forms, give it a reference, or markers"
            )


def _share(registration: Registration) -> float:
    return registration.inliers or 0.0
