"""Goes through the journeys of a module that its argument names: each function of it that takes a browser."""

import importlib
import sys

import world
from browser import chromium

module = importlib.import_module(sys.argv[1])
if not getattr(module, "EMPTY", False):
    world.build()
with chromium() as browser:
    browser.sign_in().leave()
    own = [one for one in vars(module).values() if getattr(one, "__module__", None) == module.__name__]
    for journey in own:
        if journey.__code__.co_varnames[:1] == ("chromium",):
            journey(browser)
            print("went through", journey.__name__)
print("all is well")
