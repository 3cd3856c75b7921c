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
  for (const time of all("time:not([data-clock])")) {
    const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (text) time.textContent = text;
  }
};
setInterval(age, 30000);

const ROLES = [
  ["thead, tbody", "rowgroup"], ["tr", "row"], ["th", "rowheader"], ["thead th", "columnheader"], ["td", "cell"],
];

// Copying needs the script, so its buttons come with it.
const wake = (root) => {
  for (const button of all("[data-copy]", root)) {
    button.hidden = false;
    button.setAttribute("aria-live", "polite");
  }
  // What lies under each other on a phone is a table still, which browsers forget with the layout.
  for (const table of all("table.list", root)) {
    table.role = "table";
    for (const [selector, role] of ROLES) for (const one of all(selector, table)) one.role = role;
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

// Brings a part of the page to what it is on a newer one, in place: what did not change is not touched,
// so that the focus, a selection, what is open and the place of a screen reader stay. What may come and
// go has an id or a key.
const key = (one) => one.id || one.dataset?.key || (one.nodeName === "TR" && one.querySelector("a")?.getAttribute("href")) || null;
const alike = (a, b) => a.nodeName === b.nodeName && key(a) === key(b);
const morph = (old, young) => {
  if (old.isEqualNode(young)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = young.data;
    return;
  }
  for (const { name, value } of young.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) {
    if (!young.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  const keys = new Set([...young.children].map(key));
  for (const one of [...old.children]) if (key(one) && !keys.has(key(one))) one.remove();
  let next = old.firstChild;
  for (const child of [...young.childNodes]) {
    const same = next && alike(next, child) ? next : key(child) && [...old.children].find((one) => alike(one, child));
    if (!same) {
      old.insertBefore(document.adoptNode(child), next);
      continue;
    }
    if (same === next) next = next.nextSibling;
    else old.insertBefore(same, next);
    morph(same, child);
  }
  while (next) {
    const gone = next;
    next = next.nextSibling;
    gone.remove();
  }
};

// Whether what is shown is what there is; since when not, otherwise.
const banner = document.getElementById("banner");
let lost = null;
const alive = () => {
  lost = null;
  banner.replaceChildren();
};
const dead = (why, link, href) => {
  lost ??= new Date();
  const at = lost.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const text = `Not live since ${at}: ${why} `;
  if (banner.firstChild?.data === text) return;
  const way = document.createElement("a");
  way.href = href;
  way.textContent = link;
  banner.replaceChildren(text, way);
};
const silent = (why) => dead(why, "Load it again", location.href);

// What is told to those who do not see that it changed.
const said = document.getElementById("said");
const gist = () => [...all("main h1, main .title .s")].map((one) => one.textContent.trim()).join(" ");

// Takes the live parts of another page of ours. Whether it could.
let loading;
const show = async (url) => {
  loading?.abort();
  const own = (loading = new AbortController());
  const late = setTimeout(() => own.abort("late"), 30000);
  let html;
  try {
    const answer = await fetch(url, { signal: own.signal });
    if (answer.redirected) {
      const then = encodeURIComponent(location.pathname + location.search);
      return dead("you are signed out.", "Sign in", `/sign-in?then=${then}`);
    }
    if (!answer.ok) return silent(answer.status === 429 ? "you ask for too much at once." : "the portal refuses this page.");
    html = await answer.text();
  } catch {
    if (own === loading) silent("the portal does not answer.");
    return;
  } finally {
    clearTimeout(late);
  }
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const focus = document.activeElement;
  const before = gist();
  for (const old of all("[data-live]")) {
    const young = fresh.getElementById(old.id);
    if (!young) continue;
    wake(young);
    morph(old, young);
  }
  if (document.activeElement !== focus) (focus.isConnected ? focus : document.getElementById("main")).focus({ preventScroll: true });
  if (gist() !== before) said.textContent = gist();
  return true;
};

// Of the credentials, only the fields that are chosen, and those with which something is wrong.
const credentials = document.getElementById("credentials");
if (credentials) {
  const repository = document.getElementById("repositoryUrl");
  const fit = () => {
    const ssh = repository.value && !/^https?:/i.test(repository.value);
    for (const field of all("[data-for]")) {
      let chosen = field.dataset.for.split(" ").includes(credentials.value);
      if ("ssh" in field.dataset) chosen ||= ssh;
      if ("http" in field.dataset) chosen &&= !ssh;
      field.hidden = !chosen && !field.querySelector("[aria-invalid]");
    }
  };
  credentials.addEventListener("change", fit);
  repository.addEventListener("input", fit);
  fit();
}
(document.querySelector(".errors") ?? document.getElementById("commands"))?.focus();

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
// seconds, and not for pages that nobody looks at. That an agent called is no news: so each minute too.
const events = document.body.dataset.events;
if (events) {
  let due = false, waiting = false, heard = false;
  const refresh = async () => {
    if (!due || waiting || document.hidden) return;
    waiting = true;
    due = false;
    setTimeout(() => { waiting = false; refresh(); }, 2000);
    if (await show(location.href) && heard) alive();
  };
  const changed = () => { due = true; refresh(); };
  const listen = () => {
    const source = new EventSource(events);
    // Something may have happened while nobody listened, also since the page was made.
    source.onopen = () => { heard = true; changed(); };
    source.onmessage = changed;
    source.onerror = () => {
      if (heard) lost ??= new Date();
      heard = false;
      // A proxy or the portal ends one from time to time, and the browser begins another.
      setTimeout(() => { if (source.readyState === EventSource.CONNECTING) silent("the portal does not answer."); }, 10000);
      if (source.readyState !== EventSource.CLOSED) return;
      // Refused: there are too many, or this one is signed out. Browsers do not try again by themselves.
      show(location.href).then((shown) => { if (shown) silent("too many pages are open."); });
      setTimeout(listen, 30000);
    };
  };
  listen();
  setInterval(changed, 60000);
  document.addEventListener("visibilitychange", refresh);
}
