"""The page follows what happens, and leaves alone what its visitor is about."""

import re

import world
from world import COMMIT, URL

SHOP = ("edge", "edge-07", "shop")


def follows(chromium):
    """A report is seen without a reload; the focus and what is open stay."""
    person = chromium.visitor().go(world.page_of(*SHOP))
    page = person.page
    page.evaluate("window.loadedOnce = true")
    page.get_by_role("button", name="Suspend").focus()
    page.locator("details", has_text="Sync now").locator("summary").click()
    page.get_by_role("button", name="Suspend").focus()
    world.compliant(*SHOP, message="all is as the commit says now", repositoryPublicKey=world.KEY)
    person.sees("all is as the commit says now")
    person.sees("Compliant")
    assert page.evaluate("window.loadedOnce"), "the page was loaded again"
    assert page.evaluate("document.activeElement.textContent") == "Suspend"
    assert page.locator("details[open]").count() == 1
    # What came with the news works as the rest does.
    page.locator(".copy", has_text=world.KEY).get_by_role("button", name="Copy").click()
    page.locator(".copy", has_text=world.KEY).get_by_role("button", name="Copied").wait_for()
    person.leave()


def overview(chromium):
    """For the person on call: what breaks appears, what is mended goes."""
    person = chromium.visitor().go("/")
    page = person.page
    person.sees("2 things need someone.")
    world.report(*SHOP, complianceState="Failed", messageLevel="Error", message="no such branch", attemptedRevision=COMMIT)
    person.sees("3 things need someone.")
    person.sees("no such branch")
    world.compliant(*SHOP)
    person.sees("2 things need someone.")
    person.leave()


def typing(chromium):
    """Half a word in the search stays, with the cursor in it."""
    person = chromium.visitor().go("/clusters")
    page = person.page
    search = page.get_by_label("Search")
    search.press_sequentially("edge-0")
    page.get_by_role("status").filter(has_text="2 clusters of 4").wait_for()
    world.put("edge", "edge-08", "late", operatorNamespace="late")
    page.locator("tr", has_text="edge-08").locator(".n", has_text="2").wait_for()
    assert search.input_value() == "edge-0"
    search.press_sequentially("8")
    page.get_by_role("status").filter(has_text="1 cluster of 4").wait_for()
    person.leave()


def stays(chromium):
    """News changes what changed and nothing else: not what is selected, nor where one is."""
    person = chromium.visitor().go(world.page_of(*SHOP))
    page = person.page
    page.evaluate("""() => {
        window.kept = document.querySelector("#follows a");
        getSelection().selectAllChildren(window.kept);
        document.querySelector("#shell-put summary").focus();
        scrollTo(0, 300);
    }""")
    world.report(*SHOP, complianceState="Failed", messageLevel="Error", message="all is different", attemptedRevision=COMMIT)
    person.sees("all is different")
    assert page.evaluate("window.kept.isConnected"), "what did not change was made anew"
    assert page.evaluate("getSelection().toString()") == "https://github.com/example/shop.git"
    assert page.evaluate("document.activeElement.parentNode.id") == "shell-put"
    assert page.evaluate("scrollY") == 300
    # Those who do not see it are told.
    assert page.locator("#said").inner_text() == "shop Failed"
    world.compliant(*SHOP)
    person.sees("48 objects are as the commit says")
    person.leave()


def is_look(answer):
    """Whether the page looked for what is new: first when its events begin."""
    return answer.request.resource_type == "fetch"


def silence(chromium):
    """A page that is not live any more says so, since when, and what to do."""
    person = chromium.visitor()
    page = person.page
    banner = page.locator("#banner")
    with page.expect_response(is_look):
        person.go("/")
    with person.refusal():
        page.context.set_offline(True)
        world.report(*SHOP, complianceState="Failed", messageLevel="Error", message="unheard", attemptedRevision=COMMIT)
        banner.filter(has_text=re.compile(r"^Not live since \d\d:\d\d: the portal does not answer\. Load it again$")).wait_for()
        person.picture("not-live")
        person.check_access("not live")
        page.context.set_offline(False)
        world.compliant(*SHOP)
        banner.filter(has_text=re.compile("^$")).wait_for(state="attached")
    person.sees("2 things need someone.")
    person.leave()


def minutes(chromium):
    """That an agent called is no news: each minute the page looks by itself."""
    person = chromium.visitor()
    page = person.page
    page.clock.install()
    with page.expect_response(is_look):
        person.go(world.page_of(*SHOP))
    page.clock.run_for(5000)
    with page.expect_response(is_look):
        page.clock.run_for(60000)
    person.leave()


def left(chromium):
    """Who is signed out elsewhere is told so on each page that is open; what they send then is not taken."""
    person = chromium.other()
    page = person.page
    other = page.context.new_page()
    other.goto("/create")
    other.get_by_label("Name", exact=True).fill("late")
    third = page.context.new_page()
    third.goto("/clusters")
    page.clock.install()
    with person.refusal():
        third.get_by_role("button", name="Sign out").click()
        page.locator("#banner", has_text="you are signed out").wait_for()
        # What is wrong stays what is said of it.
        page.clock.run_for(15000)
        page.locator("#banner", has_text="you are signed out").wait_for(timeout=2000)
        person.press("Sign in", "link")
        page.wait_for_url(URL + "/sign-in?then=%2F")
    other.get_by_role("button", name="Create", exact=True).click()
    other.get_by_text("nothing was written").wait_for()
    person.leave()
