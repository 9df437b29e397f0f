"""Routes of the login page."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from storemon_pipeline.api.auth import SESSION_COOKIE, TokenStore, encode_session
from storemon_pipeline.api.dependencies import AppStateDep
from storemon_pipeline.api.html_responses import page_response
from storemon_pipeline.api.routes.pages import UrlencodedForm
from storemon_pipeline.pages.rendering import login_page

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


# The way in


@router.get("/login")
def login(services: AppStateDep) -> Response:
    """The form that takes a token."""
    if not services.settings.api_tokens:
        return RedirectResponse("./", HTTPStatus.SEE_OTHER)
    return page_response(login_page(root="./", next_path="/"))


@router.post("/login")
def submit_login(services: AppStateDep, request: Request, form: UrlencodedForm) -> Response:
    """Keep a token that is known as a cookie; or forget it, where the form says so."""
    if "leave" in form:
        gone = RedirectResponse("./login", HTTPStatus.SEE_OTHER)
        gone.delete_cookie(SESSION_COOKIE)
        return gone
    token = "".join(form.get("token", ())).strip().encode()
    leads_to = "".join(form.get("next", ()))
    if TokenStore(services.settings.api_tokens).get_scope(token) is None:
        text = login_page(root="./", next_path=leads_to, problem="This token is not known.")
        return page_response(text, HTTPStatus.UNAUTHORIZED)
    # behind the dot and the slash it is a path of this API, whatever it begins with
    answer = RedirectResponse(f"./{leads_to.lstrip('/')}", HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        SESSION_COOKIE,
        encode_session(token),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer
