// Keeps the page live and spares reloads. Without it the forms work too, by reloading.
const page = document.body.dataset;
const byId = (id) => document.getElementById(id);
const place = () => new URLSearchParams({ user: page.user, at: page.at, thread: page.thread });

// ---- live: whenever something changed, fetch the pieces and put in what differs

let wanted = false;
let fetching = false;

async function refresh() {
  wanted = true;
  if (fetching) return;
  fetching = true;
  while (wanted) {
    wanted = false;
    try {
      show(await (await fetch(`/page/pieces?${place()}`)).json());
    } catch { /* the sandbox stopped: the stream comes back when it does */ }
  }
  fetching = false;
}

function show(pieces) {
  const scroll = byId("scroll");
  const atEnd = scroll && scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  if (byId("messages")) patch(byId("messages"), pieces.messages);
  patch(byId("thread"), pieces.thread);
  if (byId("home")) replaceIfNew(byId("home"), pieces.home);
  showModal(pieces.modal);
  if (atEnd) scroll.scrollTop = scroll.scrollHeight;
}

function replaceIfNew(into, html) {
  if (into.dataset.html === html) return;
  into.dataset.html = html;
  into.innerHTML = html;
}

// Items are known by data-key; one that has the same data-rev is left alone, focus and open menus included.
function patch(list, html) {
  const fresh = document.createElement("ol");
  fresh.innerHTML = html;
  const known = new Map([...list.children].map((item) => [item.dataset.key, item]));
  let before = list.firstElementChild;
  for (const item of [...fresh.children]) {
    let here = known.get(item.dataset.key);
    known.delete(item.dataset.key);
    if (here && here.dataset.rev !== item.dataset.rev) {
      const focused = here.contains(document.activeElement) ? pathOf(document.activeElement) : "";
      here.replaceWith(item);
      if (before === here) before = item;
      here = item;
      if (focused) item.querySelector(focused)?.focus();
    } else if (!here) {
      here = item;
    }
    if (here === before) before = before.nextElementSibling;
    else list.insertBefore(here, before);
  }
  known.forEach((item) => item.remove());
}

function pathOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  return element.value ? `[value="${CSS.escape(element.value)}"]` : "";
}

function listen() {
  const stream = new EventSource(`/page/events?after=${page.rung}`);
  stream.onmessage = (event) => { page.rung = event.data; refresh(); };
  stream.onerror = () => { stream.close(); setTimeout(listen, 1000); };
  addEventListener("pagehide", () => stream.close());
}

// ---- modals

const modal = byId("modal");
let shown = "";

function showModal(html) {
  const fresh = document.createElement("div");
  fresh.innerHTML = html;
  const form = fresh.querySelector("form");
  const now = form ? `${form.dataset.view}:${form.dataset.rev}` : "";
  if (now === shown) return;
  const sameView = form && shown.split(":")[0] === form.dataset.view;
  const typed = sameView ? new Map([...modal.querySelectorAll("[id^=i-]")].map((one) => [one.id, one.value])) : new Map();
  const focused = sameView && modal.contains(document.activeElement) ? pathOf(document.activeElement) : "";
  shown = now;
  modal.replaceChildren(...fresh.childNodes);
  typed.forEach((value, id) => { const one = byId(id); if (one && "value" in one && one.type !== "file" && !one.value) one.value = value; });
  if (form && !modal.open) modal.showModal();
  if (!form && modal.open) modal.close();
  if (form) focusInto(focused);
}

function focusInto(focused) {
  const wrong = modal.querySelector(".wrong input, .wrong select, .wrong textarea");
  const again = focused ? modal.querySelector(focused) : null;
  const marked = modal.querySelector("[autofocus]");
  const first = modal.querySelector(".input input:not([type=hidden]), .input select, .input textarea");
  (wrong ?? again ?? marked ?? first ?? byId("modal-title"))?.focus();
}

modal.addEventListener("cancel", (event) => {
  event.preventDefault();
  modal.querySelector(".closer")?.click();
});

// ---- confirmations

function confirmed(asked) {
  const dialog = byId("confirm");
  dialog.querySelector("h2").textContent = asked.title.text;
  dialog.querySelector("p").textContent = asked.text.text.replace(/[*_~`]/g, "");
  dialog.querySelector(".deny").textContent = asked.deny.text;
  const yes = dialog.querySelector(".confirm");
  yes.textContent = asked.confirm.text;
  yes.className = `button confirm ${asked.style === "danger" ? "danger" : "primary"}`;
  dialog.returnValue = "";
  dialog.showModal();
  yes.focus();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "confirm"), { once: true }));
}

// ---- sending forms

let fading;

function toast(text) {
  const line = byId("toast");
  line.textContent = text;
  line.hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => { line.hidden = true; }, 6000);
}

async function send(action, data, busy) {
  busy?.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(action, { method: "POST", body: data, headers: { Accept: "application/json" } });
    const said = await answer.json();
    if (!said.ok && said.trouble && !/^[a-z_]+$/.test(said.trouble)) toast(said.trouble);
    return said;
  } catch {
    toast("The sandbox does not answer. Is it still running?");
    return { ok: false };
  } finally {
    busy?.removeAttribute("aria-busy");
    refresh();
  }
}

addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method === "get" || form.method === "dialog" || !form.action.includes("/page/")) return;
  event.preventDefault();
  const by = event.submitter;
  if (by?.getAttribute("aria-busy") === "true") return;
  if (by?.dataset.confirm && !(await confirmed(JSON.parse(by.dataset.confirm)))) return;
  const data = new FormData(form, by);
  if (by?.dataset.url) window.open(by.dataset.url, "_blank", "noopener");
  by?.closest("details.overflow")?.removeAttribute("open");
  const action = by?.name === "deed" ? "/page/press" : by?.getAttribute("formaction") ?? form.getAttribute("action");
  if (form.classList.contains("composer")) emptied(form);
  await send(action, data, by);
});

// A menu, tick or date in a message or an actions block is sent as soon as it is changed.
addEventListener("change", async (event) => {
  const input = event.target;
  if (input.id === "user") return input.form.submit();
  if (input.id === "attach") return share(input);
  const holder = input.closest("[data-deed]");
  if (!holder || input.classList.contains("external")) return;
  const deed = JSON.parse(holder.dataset.deed);
  const ticks = holder.tagName === "FIELDSET";
  deed.pick = !ticks ? input.value : input.type === "radio" ? input.value
    : [...holder.querySelectorAll("input:checked")].map((one) => one.value);
  if (holder.dataset.confirm && !(await confirmed(JSON.parse(holder.dataset.confirm)))) return;
  const data = new FormData(input.form);
  data.set("deed", JSON.stringify(deed));
  await send("/page/press", data, holder);
});

async function share(input) {
  const data = new FormData(input.form);
  await send("/page/share", data, input);
  input.value = "";
}

// An external select asks the app for its options while one types.
addEventListener("input", async (event) => {
  const input = event.target;
  if (input.matches?.(".composer textarea")) return typing(input);
  if (!input.classList?.contains("external")) return;
  const hidden = input.list.nextElementSibling;
  const known = [...input.list.options].find((one) => one.value === input.value);
  if (known) {
    hidden.value = known.dataset.option;
    if (input.dataset.deed) {
      const data = new FormData(input.form);
      data.set("deed", JSON.stringify({ ...JSON.parse(input.dataset.deed), pick: JSON.parse(known.dataset.option) }));
      await send("/page/press", data, input);
    }
    return;
  }
  if (input.value.length < Number(input.dataset.least)) return;
  const asked = new URLSearchParams({ user: page.user, where: input.form.elements.where.value, what: input.dataset.what, typed: input.value });
  const options = await (await fetch(`/page/suggest?${asked}`)).json();
  input.list.replaceChildren(...options.map((option) => {
    const one = document.createElement("option");
    one.value = option.text.text;
    one.dataset.option = JSON.stringify(option);
    return one;
  }));
});

addEventListener("click", (event) => {
  const cut = event.target.closest("[data-callback]");
  if (cut) {
    const data = new FormData();
    data.set("user", page.user);
    data.set("callback", cut.dataset.callback);
    data.set("where", cut.dataset.where ?? "");
    send("/page/shortcut", data, cut);
  }
  const thread = event.target.closest("a[data-thread]");
  if (thread && !event.metaKey && !event.ctrlKey) {
    event.preventDefault();
    openThread(thread.dataset.thread);
  }
  for (const open of document.querySelectorAll("details.overflow[open]")) if (!open.contains(event.target)) open.open = false;
  if (event.target.closest(".menu")) menu(!document.body.classList.contains("menu-open"));
  else if (document.body.classList.contains("menu-open") && !event.target.closest("nav")) menu(false);
});

function menu(open) {
  document.body.classList.toggle("menu-open", open);
  document.querySelector(".menu").setAttribute("aria-expanded", String(open));
  if (open) document.querySelector("nav a")?.focus();
}

// ---- the thread panel

let cameFrom = null;

async function openThread(ts) {
  cameFrom = document.activeElement;
  page.thread = ts;
  byId("side").hidden = !ts;
  document.body.classList.toggle("with-thread", Boolean(ts));
  byId("side").querySelector("[name=reply_to]").value = ts;
  history.replaceState(null, "", `/?${place()}`);
  await refresh();
  if (ts) byId("reply").focus();
}

byId("side").querySelector(".closer").addEventListener("click", (event) => {
  event.preventDefault();
  const back = cameFrom;
  openThread("");
  (back?.isConnected ? back : byId("text"))?.focus();
});

// ---- the composer: Enter sends, Shift+Enter breaks the line, "/" offers commands

const offers = byId("offers");
const commands = JSON.parse(byId("suggestions").textContent);

function emptied(form) {
  const box = form.querySelector("textarea");
  box.value = "";
  typing(box);
}

function typing(box) {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
  if (box.id === "text") offer(box);
}

function offer(box) {
  const typed = box.value;
  const fit = typed.startsWith("/") && !typed.includes("\n") ? commands.filter((one) => one.line.startsWith(typed) && one.line !== typed) : [];
  offers.replaceChildren(...fit.map((one, n) => {
    const item = document.createElement("li");
    item.id = `offer-${n}`;
    item.role = "option";
    item.ariaSelected = "false";
    item.dataset.line = one.line;
    const line = document.createElement("strong");
    line.textContent = one.hint ? `${one.line} [${one.hint}]` : one.line;
    const about = document.createElement("span");
    about.textContent = one.about;
    item.append(line, about);
    item.addEventListener("mousedown", (event) => { event.preventDefault(); take(box, item); });
    return item;
  }));
  offers.hidden = fit.length === 0;
  box.setAttribute("aria-expanded", String(fit.length > 0));
  box.removeAttribute("aria-activedescendant");
}

function take(box, item) {
  box.value = item.dataset.line;
  box.focus();
  offer(box);
}

function move(box, step) {
  const items = [...offers.children];
  const at = items.findIndex((one) => one.ariaSelected === "true");
  const next = items[(at + step + items.length + (at < 0 && step < 0 ? 1 : 0)) % items.length];
  items.forEach((one) => { one.ariaSelected = String(one === next); });
  next.scrollIntoView({ block: "nearest" });
  box.setAttribute("aria-activedescendant", next.id);
}

addEventListener("keydown", (event) => {
  const box = event.target;
  if (event.key === "Escape") escaped(event);
  if (!box.matches?.(".composer textarea")) return;
  const open = box.id === "text" && !offers.hidden;
  const chosen = open ? offers.querySelector("[aria-selected=true]") : null;
  if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    move(box, event.key === "ArrowDown" ? 1 : -1);
  } else if (open && (event.key === "Tab" || (event.key === "Enter" && chosen))) {
    event.preventDefault();
    take(box, chosen ?? offers.firstElementChild);
  } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    if (box.value.trim()) box.form.requestSubmit();
  }
});

function escaped() {
  if (document.querySelector("dialog[open]")) return;
  const open = document.querySelector("details.overflow[open]");
  if (open) { open.open = false; open.querySelector("summary").focus(); }
  else if (offers && !offers.hidden) { offers.hidden = true; byId("text").setAttribute("aria-expanded", "false"); }
  else if (document.body.classList.contains("menu-open")) { menu(false); document.querySelector(".menu").focus(); }
  else if (page.thread) byId("side").querySelector(".closer").click();
}

// ---- start

if (modal.querySelector("form")) {
  const form = modal.querySelector("form");
  shown = `${form.dataset.view}:${form.dataset.rev}`;
  modal.showModal();
  focusInto("");
} else if (matchMedia("(min-width: 761px)").matches) byId("text")?.focus({ preventScroll: true }); // no keyboard over a phone
if (byId("scroll")) byId("scroll").scrollTop = byId("scroll").scrollHeight;
if (location.hash) document.querySelector(`[id="${location.hash.slice(1)}"]`)?.scrollIntoView({ block: "center" });
listen();
document.body.dataset.ready = "yes";
