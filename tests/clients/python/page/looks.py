"""Every page as it looks: in the light and in the dark, on a desk and in a hand. Each must be open to everyone, by
axe-core's rules, and fit into its window."""

import world
from browser import DESKTOP, PHONE


def looks(chromium):
    shop = world.page_of("edge", "edge-07", "shop")
    pages = {
        "overview": "/",
        "configurations": "/configurations",
        "clusters": "/clusters",
        "groups": "/clusters?group=env",
        "cluster": world.page_of("edge", "edge-07"),
        "configuration": shop,
        "guarded": world.page_of("edge", "edge-07", "archive"),
        "suspended": world.page_of("edge", "edge-08", "shop"),
        "create": "/create",
        "edit": shop + "/edit",
        "delete": shop + "/delete",
        "confirm": world.page_of("edge", "edge-07", "archive", "confirm"),
    }
    for size, viewport in {"desk": DESKTOP, "hand": PHONE}.items():
        for scheme in ["light", "dark"]:
            person = chromium.visitor(viewport, scheme)
            for name, path in pages.items():
                person.go(path)
                person.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
                check(person, name, size, scheme)
            person.go("/create")
            person.fill("Name", "Web Shop")
            with person.refusal():
                person.press("Create")
                person.sees("fields are wrong")
            check(person, "refused", size, scheme)
            with person.refusal():
                person.go(shop + "-that-is-not-there")
            check(person, "missing", size, scheme)
            person.leave()
            person = chromium.visitor(viewport, scheme, signed_in=False).go("/sign-in")
            check(person, "sign-in", size, scheme)
            person.leave()


def check(person, name, size, scheme):
    what = "%s-%s-%s" % (name, size, scheme)
    person.picture(what)
    person.check_access(what)
