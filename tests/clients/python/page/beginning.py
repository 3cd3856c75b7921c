"""A portal in which there is nothing yet."""

from world import URL

EMPTY = True


def nothing(chromium):
    """Each page says what would be there and how it comes."""
    person = chromium.visitor()
    for path, text in {
        "/": "There is nothing here yet.",
        "/clusters": "A cluster appears here when",
        "/configurations": "A configuration appears here when",
    }.items():
        person.go(path)
        person.sees(text)
        person.check_access("empty " + path)
        person.picture("empty-" + (path[1:] or "overview"))
    with person.refusal():
        person.go("/no-such-page")
        person.sees("There is no page at this address.")
    person.press("To the overview", "link")
    person.page.wait_for_url(URL + "/")
    person.leave()
