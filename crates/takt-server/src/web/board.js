// Keeps an open board fresh: patches of cards, heads and figures come over one EventSource.
(() => {
  "use strict";
  const main = document.getElementById("board");
  const status = document.getElementById("status");
  const live = document.getElementById("live");
  const pause = document.getElementById("pause");
  const stream = main.dataset.stream;
  const title = document.title;
  let source = null, again = null, paused = false, seq = null, skew = 0;
  let cards = new Map(), columns = new Map();

  // What the page holds, by card and by column.
  function index() {
    seq = main.dataset.seq;
    skew = Date.now() - Number(main.dataset.now || Date.now());
    cards = new Map([...main.querySelectorAll("[data-card]")].map((it) => [it.dataset.card, it]));
    columns = new Map([...main.querySelectorAll("[data-column]")].map((it) => [it.dataset.column, it]));
    headline();
  }
  function headline() {
    document.title = (main.querySelector(".alert.stop") ? "■ Line stopped · " : "") + title;
  }
  function say(state, words) {
    status.parentElement.hidden = false;
    status.dataset.state = state;
    status.textContent = words;
  }
  function element(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  }

  // The same rule as on the server: the largest unit that fits and the next one down.
  function human(ms) {
    let rest = Math.floor(Math.abs(ms) / 1000);
    if (rest < 60) return "< 1 min";
    const parts = [], units = [[86400, "d"], [3600, "h"], [60, "min"]];
    const first = units.findIndex(([size]) => rest >= size);
    for (const [size, unit] of units.slice(first, first + 2)) {
      if (rest >= size) parts.push(Math.floor(rest / size) + " " + unit);
      rest %= size;
    }
    return (ms < 0 ? "−" : "") + parts.join(" ");
  }
  function ages() {
    const now = Date.now() - skew;
    for (const it of main.querySelectorAll("time[data-at]")) {
      const text = human(now - Number(it.dataset.at));
      if (it.textContent !== text) it.textContent = text;
    }
  }

  // Whether a card stands before another: by when it came, then by its id.
  function before(a, b) {
    const by = Number(a.dataset.since) - Number(b.dataset.since);
    return by < 0 || (by === 0 && a.dataset.card < b.dataset.card);
  }
  function place(list, card, newest) {
    let at = list.lastElementChild;
    while (at && (newest ? before(at, card) : before(card, at))) at = at.previousElementSibling;
    if (at) at.after(card); else list.prepend(card);
    while (newest && list.children.length > newest) drop(list.lastElementChild.dataset.card);
  }
  function drop(id) {
    cards.get(id)?.remove();
    cards.delete(id);
  }
  function put({ column, html }) {
    const card = element(html), id = card.dataset.card, home = columns.get(column);
    const old = cards.get(id), from = old?.closest("[data-column]");
    drop(id);
    if (!home) return null;
    cards.set(id, card);
    place(home.querySelector(".cards"), card, Number(home.dataset.newest || 0));
    if (from === home) return null;
    card.classList.add("moved");
    return card.querySelector("h3").textContent + (old ? " moved to " : " came to ") + column;
  }
  function patch(it) {
    const news = [];
    document.getElementById("empty")?.remove();
    for (const id of it.gone || []) drop(id);
    for (const part of it.cards || []) news.push(put(part));
    for (const { column, html } of it.lists || []) {
      const list = columns.get(column)?.querySelector(".cards");
      if (!list) continue;
      for (const card of [...list.children]) cards.delete(card.dataset.card);
      list.innerHTML = html;
      for (const card of list.children) cards.set(card.dataset.card, card);
    }
    for (const { column, html } of it.heads || []) {
      const head = columns.get(column)?.querySelector("header");
      if (head) head.innerHTML = html;
    }
    if (it.figures !== undefined) document.getElementById("figures").innerHTML = it.figures;
    if (it.andon !== undefined) {
      const andon = document.getElementById("andon");
      andon.innerHTML = it.andon;
      news.unshift("Andon: " + andon.querySelector(".what, .calm").textContent);
      headline();
    }
    const told = news.filter(Boolean);
    if (told.length) live.textContent = told.length > 3 ? told.length + " changes" : told.join(". ");
  }

  // Everything anew, when too much was missed: the page is asked for, and its board taken over.
  async function reset() {
    close();
    try {
      const response = await fetch(location.href, { cache: "no-store" });
      const text = await response.text();
      if (!response.ok && response.status !== 404) throw new Error(response.status);
      const page = new DOMParser().parseFromString(text, "text/html");
      const fresh = page.getElementById("board"), left = main.querySelector(".columns")?.scrollLeft;
      if (fresh.dataset.stream !== stream) return location.reload();
      main.replaceChildren(...fresh.childNodes);
      Object.assign(main.dataset, fresh.dataset);
      if (left) main.querySelector(".columns")?.scrollTo({ left });
      index();
      watch();
    } catch {
      later();
    }
  }
  function later() {
    say("away", "Reconnecting…");
    clearTimeout(again);
    again = setTimeout(reset, 2000);
  }
  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
  }
  function watch() {
    close();
    if (paused || document.hidden) return;
    const query = new URLSearchParams(stream ? { stream, from: seq } : {});
    source = new EventSource("/sse?" + query);
    source.addEventListener("open", () => say("live", "Live"));
    source.addEventListener("reset", reset);
    source.addEventListener("patch", (event) => {
      seq = event.lastEventId;
      patch(JSON.parse(event.data));
      ages();
    });
    source.addEventListener("error", () => {
      // The browser tries again by itself, unless the server has refused.
      if (source?.readyState === EventSource.CLOSED) later(); else say("away", "Reconnecting…");
    });
  }
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    if (paused) { close(); say("paused", "Paused"); } else watch();
  });
  document.addEventListener("visibilitychange", watch);
  addEventListener("pagehide", close);
  addEventListener("pageshow", watch);
  setInterval(ages, 30000);
  index();
})();
