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


@router.get("/login")
def login(app_state: AppStateDep) -> Response:
    """Show the login form."""
    if not app_state.settings.api_tokens:
        return RedirectResponse("./", HTTPStatus.SEE_OTHER)
    return page_response(login_page(root="./", next_path="/"))


@router.post("/login")
def submit_login(app_state: AppStateDep, request: Request, form: UrlencodedForm) -> Response:
    """Store a valid token in the session cookie, or log out."""
    if "leave" in form:
        response = RedirectResponse("./login", HTTPStatus.SEE_OTHER)
        response.delete_cookie(SESSION_COOKIE)
        return response
    token = "".join(form.get("token", ())).strip().encode()
    next_url = "".join(form.get("next", ()))
    if TokenStore(app_state.settings.api_tokens).get_scope(token) is None:
        text = login_page(root="./", next_path=next_url, problem="Unknown token.")
        return page_response(text, HTTPStatus.UNAUTHORIZED)
    # prefix with `./` so that `next` cannot redirect to another host (open redirect)
    response = RedirectResponse(f"./{next_url.lstrip('/')}", HTTPStatus.SEE_OTHER)
    response.set_cookie(
        SESSION_COOKIE,
        encode_session(token),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response
