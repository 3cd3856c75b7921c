"""The page follows what happens, and leaves alone what its visitor is about."""

import world
from world import COMMIT

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
