"""In and out."""

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
