"""What people change: each form and each button."""

import os
import subprocess

import world
from browser import FOCUSED, PHONE
from world import URL

HERE = ("edge", "edge-08")
ARCHIVE = ("edge", "edge-07", "archive")


def keyboard(chromium):
    """A configuration is made, its mistakes found and mended, without a mouse."""
    person = chromium.visitor().go(world.page_of(*HERE))
    page = person.page
    keys = page.keyboard

    reach = person.reach
    keys.press("Tab")
    assert page.evaluate(FOCUSED) == "Skip to the content"
    keys.press("Enter")
    reach("New configuration")
    keys.press("Enter")
    page.wait_for_url("**/create?**")
    reach("Name")
    keys.type("Web Shop")
    reach("Repository")
    keys.type("https://user:secret@github.com/example/web.git")
    reach("Ask for new commits every")
    keys.type("1s")
    with person.refusal():
        keys.press("Enter")
        page.get_by_text("fields are wrong").wait_for()
    assert page.evaluate("document.activeElement.className") == "errors", "the errors have no focus"
    # From what is wrong to where it is.
    keys.press("Tab")
    keys.press("Enter")
    wrong = page.evaluate("document.activeElement.id")
    assert page.locator("#" + wrong).get_attribute("aria-invalid") == "true", wrong
    for name, text in [("name", "web"), ("repositoryUrl", "https://github.com/example/web.git"), ("git-poll-interval", "90s")]:
        page.locator("#" + name).focus()
        keys.press("Control+A")
        keys.type(text)
    keys.press("Enter")
    page.wait_for_url(URL + world.page_of(*HERE, "web"))
    person.sees("every 90 s")
    reach("Edit")
    keys.press("Enter")
    page.wait_for_url("**/edit")
    reach("Branch")
    keys.type("next")
    keys.press("Enter")
    page.wait_for_url(URL + world.page_of(*HERE, "web"))
    for button, then in [("Suspend", "Resume"), ("Resume", "Suspend")]:
        reach(button)
        keys.press("Enter")
        page.get_by_role("button", name=then, exact=True).wait_for()
    reach("Sync now")
    with page.expect_navigation():
        keys.press("Enter")
    reach("Create or change")
    keys.press("Enter")
    person.sees("--gitmoor-requested-at=20")
    # Back to the top, where the buttons are.
    page.reload()
    for choice in ["Keep it", "Delete"]:
        reach("Delete")
        keys.press("Enter")
        page.wait_for_url("**/delete")
        reach(choice)
        if choice == "Keep it":
            keys.press("Enter")
            page.wait_for_url(URL + world.page_of(*HERE, "web"))
    keys.press("Enter")
    page.wait_for_url(URL + world.page_of(*HERE))
    person.leave()


def touch(chromium):
    """The same on a phone, by touch."""
    person = chromium.visitor(PHONE).go(world.page_of(*HERE))
    page = person.page

    def tap(name, role="button"):
        page.get_by_role(role, name=name, exact=True).first.tap()

    tap("New configuration", "link")
    page.wait_for_url("**/create?**")
    for label, text in [("Name", "web"), ("Repository", "https://github.com/example/web.git")]:
        page.get_by_label(label, exact=True).tap()
        page.keyboard.type(text)
    tap("Create")
    page.wait_for_url(URL + world.page_of(*HERE, "web"))
    tap("Edit", "link")
    page.wait_for_url("**/edit")
    page.get_by_label("Branch", exact=True).tap()
    page.keyboard.type("next")
    tap("Save")
    page.wait_for_url(URL + world.page_of(*HERE, "web"))
    person.sees("next")
    for button, then in [("Suspend", "Resume"), ("Resume", "Suspend")]:
        tap(button)
        page.get_by_role("button", name=then, exact=True).wait_for()
    with page.expect_navigation():
        tap("Sync now")
    page.locator("summary", has_text="Create or change").tap()
    person.sees("--gitmoor-requested-at=20")
    tap("Delete", "link")
    page.wait_for_url("**/delete")
    tap("Delete")
    page.wait_for_url(URL + world.page_of(*HERE))
    person.leave()


def run(command, **variables):
    """Runs a command that was copied; what it printed."""
    variables = {"TOKEN": world.owner(), "CURL_CA_BUNDLE": os.environ["PORTAL_CA"], **variables}
    shell = ["bash", "-eu", "-c", command]
    done = subprocess.run(shell, env={**os.environ, **variables}, check=True, capture_output=True, timeout=60)
    return done.stdout.decode()


def create(chromium):
    """A form that keeps what was filled in, shows the fields that are chosen, and shows the same as commands."""
    person = chromium.visitor().go("/create")
    page = person.page
    person.fill("Cluster", world.cluster_id("lab", "bench-02"))
    person.fill("Name", "ledger")
    person.fill("Repository", "https://git.example.net/blue/ledger.git")
    person.fill("Namespace", "ledger")
    assert not page.get_by_label("Token").is_visible()
    page.get_by_label("Credentials").select_option("https")
    person.fill("User name", "bot")
    person.fill("Token", "s3cr3t")
    person.press("Show as commands")
    person.sees("az rest --method put")
    assert page.evaluate("document.activeElement.id") == "commands", "the commands have no focus"
    person.check_access("commands")
    person.picture("commands")
    assert "s3cr3t" not in page.content()
    assert page.get_by_label("User name").input_value() == "bot"
    person.sees("Fill in the secret once more")
    assert page.get_by_label("Namespace", exact=True).input_value() == "ledger"
    run(page.locator("#put-curl").inner_text(), HTTPS_USER="bot", HTTPS_KEY="from a shell's variable")
    settings = world.listed("lab", "bench-02", "ledger")["properties"]["configurationProtectedSettings"]
    assert settings == {"httpsUser": "Ym90", "httpsKey": "ZnJvbSBhIHNoZWxsJ3MgdmFyaWFibGU="}, settings
    person.go(world.page_of("lab", "bench-02", "ledger"))
    # What was read before is not written over what was written since.
    page.locator("summary", has_text="Suspend").click()
    suspend = page.locator("#suspend-curl").inner_text()
    page.locator("summary", has_text="Sync now").click()
    assert "--gitmoor-requested-at=20" in run(page.locator("#sync-curl").inner_text())
    assert "PreconditionFailed" in run(suspend)
    page.locator("summary", has_text="Create or change").click()
    person.sees("--gitmoor-requested-at=20")
    page.locator("summary", has_text="Delete").click()
    run(page.locator("#delete-curl").inner_text())
    person.go("/create")
    person.fill("Cluster", world.cluster_id("lab", "bench-02"))
    person.fill("Name", "ledger")
    person.fill("Repository", "https://git.example.net/blue/ledger.git")
    page.get_by_label("Credentials").select_option("https")
    person.fill("User name", "bot")
    person.fill("Token", "s3cr3t")
    person.press("Create")
    page.wait_for_url(URL + world.page_of("lab", "bench-02", "ledger"))
    person.sees("Pending")
    assert "s3cr3t" not in page.content()
    person.leave()


def edit(chromium):
    """What is changed is what was meant, and nobody writes over another without knowing."""
    path = world.page_of("edge", "edge-07", "monitoring")
    person, other = chromium.visitor().go(path), chromium.visitor().go(path + "/edit")
    page = person.page
    person.press("Edit", "link")
    person.fill("Branch", "stable")
    person.press("Save")
    page.wait_for_url(URL + path)
    person.sees("stable")
    other.fill("Branch", "wild")
    with other.refusal():
        other.press("Save")
        other.sees("Someone changed this configuration")
        row = other.page.locator(".conflict tbody tr")
        assert row.all_inner_texts() == ["Branch\twild\tstable"], row.all_inner_texts()
        other.check_access("conflict")
        other.picture("conflict")
    other.press("Save")
    other.page.wait_for_url(URL + path)
    other.sees("wild")
    other.leave()
    person.leave()


def buttons(chromium):
    """Suspend, resume, sync, and in the end delete, which asks first."""
    path = world.page_of("edge", "edge-08", "shop")
    person = chromium.visitor().go(path)
    page = person.page
    person.sees("Suspended")
    assert page.get_by_role("button", name="Sync now").is_disabled()
    person.press("Resume")
    page.get_by_role("button", name="Suspend").wait_for()
    person.press("Sync now")
    page.wait_for_load_state()
    page.locator("summary", has_text="Create or change").click()
    person.sees("--gitmoor-requested-at=20")
    person.press("Suspend")
    page.get_by_role("button", name="Resume").wait_for()
    person.press("Delete", "link")
    person.sees("What was deployed stays as it is")
    person.press("Keep it", "link")
    page.wait_for_url(URL + path)
    person.press("Delete", "link")
    person.press("Delete")
    page.wait_for_url(URL + world.page_of("edge", "edge-08"))
    assert page.get_by_role("link", name="shop", exact=True).count() == 0
    person.leave()


def deletions(chromium):
    """A great deletion waits for someone who has seen which commit it is."""
    path = world.page_of(*ARCHIVE)
    person = chromium.visitor().go(path)
    page = person.page
    person.sees("Deletions wait for someone")
    person.reach("Look at the deletions")
    page.keyboard.press("Enter")
    person.sees("ConfigMap archive/words, Deployment.apps archive/web")
    person.reach("Keep all of it")
    page.keyboard.press("Enter")
    page.wait_for_url(URL + path)
    person.press("Look at the deletions", "link")
    # Another commit comes while they look.
    guard = dict(message="1 problem", objects=world.counts(80, problems=1))
    guard["problems"] = [world.problem("", None, None, "this commit would delete 60 of 80 objects", "Guarded")]
    world.report(*ARCHIVE, complianceState="Noncompliant", messageLevel="Error", attemptedRevision=world.BEFORE, **guard)
    with person.refusal():
        person.press("Confirm the deletions of %s" % world.COMMIT[:8])
        person.sees("Another commit came since you looked")
        person.sees("60 of 80 objects")
    person.press("Confirm the deletions of %s" % world.BEFORE[:8])
    page.wait_for_url(URL + path)
    page.locator("summary", has_text="Create or change").click()
    person.sees("--gitmoor-confirm-prune=" + world.BEFORE)
    person.leave()
