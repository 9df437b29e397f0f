"""Short pages: what went wrong, and the way in."""

from __future__ import annotations

from storemon_pipeline.pages.layout import Frame, render


def problem_page(status: int, title: str, detail: str, *, frame: Frame) -> str:
    """What is told of a request that cannot be answered.

    Parameters
    ----------
    status : int
    title, detail : str
    frame : Frame
    """
    return render("problem.html", frame, title=title, status=status, detail=detail)


def login_page(*, way: str, leads_to: str, problem: str = "") -> str:
    """The form that takes a token.

    Parameters
    ----------
    way : str
        From the page to the API's root.
    leads_to : str
        The path to go on to.
    problem : str
        What was wrong with the token that was given.
    """
    # until then, no other page can be led to
    return render("login.html", None, title="Log in", way=way, next=leads_to, problem=problem)
