"""Prints a command of the page as one would copy it: its arguments are the code of a sign-in link, the path of the page,
the id of the command, and what is filled into the page's form, if anything is, as `name=value`."""

import html.parser
import http.cookiejar
import os
import re
import ssl
import sys
import urllib.parse
import urllib.request

URL = os.environ["PORTAL_URL"]


class Text(html.parser.HTMLParser):
    """The text of the element with that id."""

    def __init__(self, id):
        super().__init__()
        self.id, self.within, self.text = id, None, ""

    def handle_starttag(self, tag, attributes):
        if ("id", self.id) in attributes:
            self.within = tag

    def handle_endtag(self, tag):
        if tag == self.within:
            self.within = None

    def handle_data(self, data):
        if self.within:
            self.text += data


code, path, id, *filled = sys.argv[1:]
tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=os.environ["PORTAL_CA"]))
browser = urllib.request.build_opener(tls, urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
# What a form of the page's own says.
browser.addheaders.append(("Origin", URL))
browser.open(URL + "/sign-in/link", urllib.parse.urlencode({"code": code}).encode())
page = browser.open(URL + path).read().decode()
if filled:
    csrf = re.search('name="csrf" value="([^"]+)"', page)[1]
    fields = [("csrf", csrf), ("as", "commands"), *(field.split("=", 1) for field in filled)]
    page = browser.open(URL + path, urllib.parse.urlencode(fields).encode()).read().decode()
text = Text(id)
text.feed(page)
print(text.text)
