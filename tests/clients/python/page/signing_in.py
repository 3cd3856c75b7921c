"""In and out."""

import os
import re

from world import URL


def signing_in(chromium):
    """By a link, once; what was asked for before waits behind the sign-in; who has left is out."""
    person = chromium.visitor(signed_in=False).go("/clusters")
    person.sees("A link that signs you in once")
    person.leave()
    person = chromium.sign_in()
    cookies = person.page.context.cookies()
    assert [one["name"] for one in cookies] == ["__Host-gitmoor"], cookies
    assert all(one["httpOnly"] and one["secure"] and one["sameSite"] == "Lax" for one in cookies), cookies
    person.press("Sign out")
    person.page.wait_for_url(URL + "/sign-in")
    person.go("/")
    assert person.page.url == URL + "/sign-in", person.page.url
    person.leave()


def at_a_provider(chromium):
    """By OpenID Connect: to the provider and back to where one was; a stranger is told who they are."""
    person = chromium.visitor(signed_in=False).go("/clusters?group=env")
    page = person.page
    person.press("Sign in with 127.0.0.1", "link")
    page.wait_for_url(os.environ["PORTAL_PROVIDER"] + "/**")
    page.locator("[name=sub][type=text]").fill("someone-else")
    with person.refusal():
        page.get_by_role("button", name="Authorize").click()
        page.get_by_text(re.compile("calls you someone-else")).wait_for()
        person.check_access("stranger")
    person.go("/sign-in?then=/clusters%3Fgroup=env")
    person.check_access("sign-in with a provider")
    person.picture("sign-in-with")
    person.press("Sign in with 127.0.0.1", "link")
    page.wait_for_url(os.environ["PORTAL_PROVIDER"] + "/**")
    page.locator("[name=sub][type=text]").fill(os.environ["PORTAL_SUBJECT"])
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(URL + "/clusters?group=env")
    person.sees("env=prod")
    names = [one["name"] for one in page.context.cookies(URL)]
    assert names == ["__Host-gitmoor"], names
    person.leave()
