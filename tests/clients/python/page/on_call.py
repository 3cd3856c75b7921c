"""What goes wrong at night: clusters that are silent, more than fits on a page, and people who may only read."""

import world
from world import URL


def offline(chromium):
    """A cluster whose agent calls no more is not green anywhere."""
    world.age("lab", "bench-02")
    person = chromium.visitor().go("/clusters?state=offline")
    page = person.page
    # What is shown is at most some seconds old.
    page.reload()
    for _ in range(60):
        if page.get_by_role("link", name="bench-02").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    person.sees("1 cluster of 4")
    person.picture("offline-clusters")
    page.get_by_role("link", name="bench-02").click()
    person.sees("This cluster is offline")
    person.check_access("offline cluster")
    person.picture("offline-cluster")
    page.get_by_role("link", name="empty").click()
    person.sees("This cluster is offline")
    person.check_access("offline configuration")
    person.picture("offline-configuration")
    person.go("/")
    person.sees("4 things need someone.")
    page.get_by_role("link", name="Offline 1").click()
    page.wait_for_url(URL + "/clusters?state=offline")
    person.leave()


def reader(chromium):
    """Who may only read sees all and is offered nothing else."""
    person = chromium.reader().go(world.page_of("edge", "edge-07", "shop"))
    page = person.page
    person.sees("You may only read here.")
    assert page.get_by_role("button").all_inner_texts() == ["Sign out", "Copy"], page.get_by_role("button").all_inner_texts()
    assert page.get_by_role("link", name="Edit").count() == 0
    person.check_access("reader")
    person.picture("reader")
    with person.refusal():
        person.go("/create")
        person.sees("Not allowed")
        person.sees("You may only read here.")
        person.check_access("not allowed")
        person.picture("not-allowed")
    person.leave()


def many(chromium):
    """More than a hundred objects, and more than a hundred configurations."""
    shop = ("edge", "edge-08", "shop")
    objects = [world.object_state("ConfigMap shop/words-%03d" % number, "Current") for number in range(100)]
    world.compliant(*shop, total=131, inventory=objects)
    person = chromium.visitor().go(world.page_of(*shop))
    page = person.page
    person.sees("31 more are not listed")
    assert page.locator(".objects tbody tr").count() == 100
    for number in range(101):
        world.put("edge", "edge-08", "many-%03d" % number, operatorNamespace="many")
    person.go("/configurations")
    person.sees("107 configurations")
    page.get_by_role("link", name="Next").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(URL + "/configurations?page=2")
    assert page.locator("tbody tr").count() == 7
    page.get_by_role("link", name="Previous").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(URL + "/configurations")
    page.get_by_label("Search").press_sequentially("many-10")
    page.get_by_role("status").filter(has_text="1 configuration of 107").wait_for()
    page.get_by_label("Search").fill("nothing like it")
    person.sees("None is like that.")
    person.leave()
