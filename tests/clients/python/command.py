"""Prints a command of the page as one would copy it: its arguments are the code of a sign-in link, the path of the page,
and the id of the command."""

import html.parser
import http.cookiejar
import os
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


code, path, id = sys.argv[1:]
tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=os.environ["PORTAL_CA"]))
browser = urllib.request.build_opener(tls, urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
# What a form of the page's own says.
browser.addheaders.append(("Origin", URL))
browser.open(URL + "/sign-in/link", urllib.parse.urlencode({"code": code}).encode())
text = Text(id)
text.feed(browser.open(URL + path).read().decode())
print(text.text)
