// Keeps an open board fresh: a `changed` event re-fetches the page, at most once a second.
(() => {
  const stream = document.querySelector("main")?.dataset.stream;
  if (!stream) return;
  const live = document.getElementById("live");
  let source = null, timer = null, last = 0;

  async function refresh() {
    timer = null;
    last = Date.now();
    try {
      const response = await fetch(location.href, { cache: "no-store" });
      if (!response.ok) throw new Error(response.status);
      const text = await response.text();
      const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("main");
      const main = document.querySelector("main");
      const open = [...main.querySelectorAll("details[open]")].map((it) => it.id);
      const left = main.querySelector(".columns")?.scrollLeft ?? 0;
      main.replaceChildren(...fresh.childNodes);
      open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
      main.querySelector(".columns")?.scrollTo({ left });
      live.textContent = "Board updated at " + new Date().toLocaleTimeString();
    } catch {
      live.textContent = "The board could not be updated.";
    }
  }
  function changed() {
    timer ??= setTimeout(refresh, Math.max(0, last + 1000 - Date.now()));
  }
  function watch() {
    source?.close();
    source = null;
    if (document.hidden) return;
    source = new EventSource("/sse?stream=" + encodeURIComponent(stream));
    for (const it of ["open", "changed"]) source.addEventListener(it, changed); // nothing is missed
  }
  document.addEventListener("visibilitychange", watch);
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", watch);
})();
