"""A person at the page, in a headless Chromium that forgives nothing: whatever it has to complain of in its console ends
the journey."""

import contextlib
import importlib.util
import os
import pathlib
import shutil

from playwright.sync_api import sync_playwright

from world import URL

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}

_links = os.environ["PORTAL_LINKS"].split()
_reader = os.environ["PORTAL_READER_LINK"]
_pictures = os.environ.get("GITMOOR_PAGE_PICTURES")
_axe = pathlib.Path(importlib.util.find_spec("axe_playwright_python").origin).with_name("axe.min.js")


@contextlib.contextmanager
def chromium():
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "Chromium is missing: on Debian, apt-get install chromium"
    with sync_playwright() as playwright:
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=quiet + ["--disable-component-update"])
        try:
            yield Chromium(browser)
        finally:
            browser.close()


class Chromium:
    def __init__(self, browser):
        self.browser = browser
        self.state = None

    def sign_in(self):
        """By a link of those who run the portal."""
        person = self.other()
        self.state = person.page.context.storage_state()
        return person

    def other(self, link=None):
        """Someone with a session of their own."""
        person = self.visitor(signed_in=False)
        person.go("/sign-in/link?code=" + (link or _links.pop()))
        person.press("Sign in")
        person.page.wait_for_url(URL + "/")
        return person

    def reader(self):
        """Someone who may only read."""
        return self.other(_reader)

    def visitor(self, viewport=DESKTOP, scheme="light", signed_in=True, **options):
        context = self.browser.new_context(
            base_url=URL,
            # The certificate is of the portal's own making, and not what is looked at here.
            ignore_https_errors=True,
            viewport=viewport,
            color_scheme=scheme,
            has_touch=viewport is PHONE,
            storage_state=self.state if signed_in else None,
            permissions=["clipboard-read", "clipboard-write"],
            **options,
        )
        context.set_default_timeout(30_000)
        return Visitor(context.new_page())


class Visitor:
    def __init__(self, page):
        self.page = page
        self.complaints = []
        self.refused = False
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _console(self, message):
        # A form that is refused is answered with 400, which Chromium counts as an error.
        expected = self.refused and ("status of 4" in message.text or "net::ERR" in message.text)
        # What others show on the way is theirs.
        ours = self.page.url.startswith(URL)
        if message.type in ("error", "warning") and ours and not expected:
            self.complaints.append("%s: %s" % (message.location.get("url"), message.text))

    @contextlib.contextmanager
    def refusal(self):
        """What the portal refuses meanwhile is meant to be refused."""
        self.refused = True
        yield
        self.refused = False

    def go(self, path):
        answer = self.page.goto(path)
        assert self.refused or answer.status == 200, (path, answer.status)
        return self

    def reach(self, name):
        """Goes on by the keyboard until the focus is there, and is seen there."""
        for _ in range(80):
            self.page.keyboard.press("Tab")
            if self.page.evaluate(FOCUSED) == name:
                seen = self.page.evaluate("getComputedStyle(document.activeElement).outlineStyle !== 'none'")
                assert seen, "%s has the focus and does not show it" % name
                return
        raise AssertionError("no way to " + name)

    def press(self, name, role="button"):
        self.page.get_by_role(role, name=name, exact=True).first.click()

    def sees(self, text):
        self.page.get_by_text(text).first.wait_for(state="visible")

    def fill(self, label, text):
        self.page.get_by_label(label, exact=True).fill(text)

    def picture(self, name):
        if _pictures:
            folder = pathlib.Path(_pictures)
            folder.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=folder / (name + ".png"), full_page=True)

    def check_access(self, name):
        """What axe-core finds, which must be nothing; the page must not be wider than the window."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, (name, "is too wide by", wide, self.page.evaluate(WIDE))
        # By the debugger, which no policy of a page binds.
        self.page.evaluate(_axe.read_text())
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        told = [(one["id"], [node["html"] + " " + node["failureSummary"] for node in one["nodes"]]) for one in found]
        assert not told, (name, told)

    def leave(self):
        assert not self.complaints, self.complaints
        self.page.context.close()


FOCUSED = """(() => {
    const one = document.activeElement;
    return (one.labels?.[0] ?? one).textContent.trim();
})()"""

WIDE = """[...document.querySelectorAll('body *')]
    .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth)
    .map((one) => one.outerHTML.slice(0, 120))"""
