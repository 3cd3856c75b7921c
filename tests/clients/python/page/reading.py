"""What people read: the overview, the clusters and a configuration."""

import re

import world
from world import COMMIT, KEY, URL


def overview(chromium):
    """The worst first, and from there to the line at fault."""
    person = chromium.visitor().go("/")
    page = person.page
    person.sees("3 things need someone.")
    items = page.locator(".items > li").all_inner_texts()
    assert "Failed" in items[0] and "refuses the credentials" in items[0], items
    assert "Noncompliant" in items[1] and "must be greater than" in items[1], items
    line = page.get_by_role("link", name="prod/web/deployment.yaml:17")
    assert line.get_attribute("href") == "https://github.com/example/shop/blob/%s/prod/web/deployment.yaml#L17" % COMMIT
    page.locator(".items").get_by_role("link", name="shop", exact=True).click()
    page.wait_for_url(URL + world.page_of("edge", "edge-07", "shop"))
    person.leave()


def clusters(chromium):
    """Search, filter and groups narrow the list while one types, and stand in the address."""
    person = chromium.visitor().go("/")
    page = person.page
    person.press("Clusters", "link")
    person.sees("4 clusters")
    search = page.get_by_label("Search")

    def found(text):
        page.get_by_role("status").filter(has_text=re.compile("^%s$" % text)).wait_for()

    search.press_sequentially("team=blue")
    found("1 cluster of 4")
    assert page.url.endswith("/clusters?q=team%3Dblue"), page.url
    assert search.evaluate("one => document.activeElement === one"), "the focus went away"
    search.fill("")
    found("4 clusters")
    page.get_by_label("State").select_option("failed")
    found("1 cluster of 4")
    rows = page.locator("tbody th[scope=row]").all_inner_texts()
    assert rows[0].startswith("bench-01"), rows
    page.get_by_label("State").select_option("")
    page.get_by_label("Group by tag").select_option("env")
    page.locator("th.group").first.wait_for()
    groups = page.locator("th.group").all_inner_texts()
    assert groups == ["env=prod", "env=test", "without env"], groups
    page.reload()
    assert page.locator("th.group").all_inner_texts() == groups
    page.get_by_role("link", name="edge-07").click()
    person.sees("Agent last seen")
    person.sees("env=prod, team=blue")
    person.leave()


def configuration(chromium):
    """What it follows, what is applied, what is wrong and where, what was, and what there is to copy."""
    person = chromium.visitor().go(world.page_of("edge", "edge-07", "shop"))
    page = person.page
    for text in [
        "2 of 48 objects are not as the commit says",
        "https://github.com/example/shop.git",
        "prod, shared",
        "spec.replicas: Invalid value: -1",
        "drifts healed",
        "2 drifts were put right",
        "Ada Lovelace",
        "The shop answers on port 8080",
        "ImagePullBackOff",
        "2 of 3 replicas are ready",
        "left so, since heal is detect: it has been deleted",
    ]:
        person.sees(text)
    righted = [" ".join(row.split()) for row in page.locator("#righted tbody tr").all_inner_texts()]
    assert righted[0].startswith("ConfigMap shop/settings-of-the-shop-with-a-name-that-is-rather-long changed by kubectl-edit "), righted
    assert righted[1].startswith("Service shop/web deleted "), righted
    for path in ["prod/web/deployment.yaml:17", "prod/web/ingress.yaml:4", "shared/limits.yaml:31", "prod/web/settings.yaml:1"]:
        file, line = path.split(":")
        link = page.get_by_role("link", name=path).get_attribute("href")
        assert link == "https://github.com/example/shop/blob/%s/%s#L%s" % (COMMIT, file, line), link
    assert page.locator(".timeline > li").count() == 2
    page.locator(".copy", has_text=KEY).get_by_role("button", name="Copy").click()
    page.locator(".copy", has_text=KEY).get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == KEY, copied
    sync = page.locator("details", has_text="Sync now")
    sync.locator("summary").click()
    for tool in ["az rest --method put", "curl -X PUT", "kubectl -n"]:
        sync.get_by_text(tool).wait_for()
    person.leave()
