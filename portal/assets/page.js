// What makes the page live. Without it everything works too, but by hand.
const all = (selector, root = document) => root.querySelectorAll(selector);

// "3 min ago" grows older.
const ago = (seconds) =>
  seconds < 45 ? "just now"
  : seconds < 3600 ? `${Math.round(seconds / 60)} min ago`
  : seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago`
  : seconds < 2592000 ? `${Math.floor(seconds / 86400)} d ago`
  : null;
const age = () => {
  for (const time of all("time")) {
    const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (text) time.textContent = text;
  }
};
setInterval(age, 30000);

// Copying needs the script, so its buttons come with it.
const wake = (root) => {
  for (const button of all("[data-copy]", root)) {
    button.hidden = false;
    button.setAttribute("aria-live", "polite");
  }
};
wake(document);
document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

// What makes two links or buttons the same on two versions of a page.
const mark = (one) => [one.tagName, one.getAttribute("href"), one.form?.getAttribute("action"), one.dataset.copy].join(" ");

// Takes the live parts of another page of ours in the place of those that are here.
let loading;
const show = async (url) => {
  loading?.abort();
  loading = new AbortController();
  let html;
  try {
    const answer = await fetch(url, { signal: loading.signal });
    // Signed out meanwhile: the sign-in has no live parts.
    if (!answer.ok || answer.redirected) return;
    html = await answer.text();
  } catch {
    return;
  }
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const old of all("[data-live]")) {
    const young = fresh.getElementById(old.id);
    if (!young) continue;
    wake(young);
    if (young.isEqualNode(old)) continue;
    const focus = old.contains(document.activeElement) && mark(document.activeElement);
    old.replaceWith(document.adoptNode(young));
    if (focus) [...all("a, button", young)].find((one) => mark(one) === focus)?.focus({ preventScroll: true });
  }
};

// Of the credentials, only the fields that are chosen.
const credentials = document.getElementById("credentials");
if (credentials) {
  const fit = () => {
    for (const field of all("[data-for]")) field.hidden = field.dataset.for !== credentials.value;
  };
  credentials.addEventListener("change", fit);
  fit();
}
document.querySelector(".errors")?.focus();

// The list follows what is typed.
const filter = document.querySelector("form.filter");
if (filter) {
  let soon;
  filter.addEventListener("input", () => {
    clearTimeout(soon);
    soon = setTimeout(() => {
      const given = [...new FormData(filter)].filter(([, value]) => value);
      const url = `${filter.getAttribute("action")}?${new URLSearchParams(given)}`;
      history.replaceState(null, "", url);
      show(url);
    }, 200);
  });
}

// The portal says that something changed; what, is on the page itself. Not more often than every two
// seconds, and not for pages that nobody looks at.
const events = document.body.dataset.events;
if (events) {
  let due = false, waiting = false;
  const refresh = () => {
    if (!due || waiting || document.hidden) return;
    waiting = true;
    // What someone has just selected, to copy it, stays.
    const selected = document.getSelection();
    if (selected.isCollapsed || ![...all("[data-live]")].some((one) => selected.containsNode(one, true))) {
      due = false;
      show(location.href);
    }
    setTimeout(() => { waiting = false; refresh(); }, 2000);
  };
  const listen = () => {
    const source = new EventSource(events);
    // Something may have happened while nobody listened, also since the page was made.
    source.onopen = () => { due = true; refresh(); };
    source.onmessage = () => { due = true; refresh(); };
    source.onerror = () => {
      // Refused: there are too many, or this one is signed out. Browsers do not try again by themselves.
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 30000);
    };
  };
  listen();
  document.addEventListener("visibilitychange", refresh);
}
