"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const box = $("cards"), q = $("q"), sort = $("sort"), turn = $("turn"), open = $("open");
  const cards = [...box.querySelectorAll(":scope > .card")].map((el, i) => (
    { el, i, name: el.dataset.name, text: el.dataset.search, numbers: JSON.parse(el.dataset.numbers) }));
  const files = `${cards.length} file${cards.length === 1 ? "" : "s"}`;
  let down = true, anyOpen = false;

  // A poster is one of the card's own keyframes: the picture is in the file once.
  for (const c of cards) {
    const poster = c.el.querySelector(".poster img");
    if (poster) poster.src = c.el.querySelectorAll(".strip img")[poster.dataset.of].src;
  }

  const compare = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b, "=": (a, b) => a === b };
  const test = (term) => {
    const m = /^([a-z0-9_]+)(<=|>=|<|>|=)(-?[0-9.]+)$/.exec(term);
    if (m) return (c) => c.numbers[m[1]] !== undefined && compare[m[2]](c.numbers[m[1]], Number(m[3]));
    if (term.length > 1 && term[0] === "-") return (c) => !c.text.includes(term.slice(1));
    return (c) => c.text.includes(term);
  };

  function filter() {
    const tests = q.value.toLowerCase().split(/\s+/).filter(Boolean).map(test);
    let shown = 0;
    for (const c of cards) {
      const fits = tests.every((t) => t(c));
      c.el.hidden = !fits;
      shown += fits;
    }
    $("count").textContent = tests.length ? `${shown} of ${files}` : files;
    $("nothing").hidden = shown > 0 || cards.length === 0;
    remember();
  }

  function order() {
    const key = sort.value, sign = down ? 1 : -1;
    const value = (c) => c.numbers[key];
    const sorted = [...cards].sort((a, b) => {
      if (key === "name") return sign * (a.name < b.name ? -1 : a.name > b.name ? 1 : a.i - b.i);
      const x = value(a), y = value(b);
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined) || a.i - b.i;
      return sign * (y - x) || a.i - b.i;
    });
    if (key !== "name" || !down || box.dataset.sorted) box.append(...sorted.map((c) => c.el));
    box.dataset.sorted = "yes";
    turn.textContent = down ? "↓" : "↑";
    remember();
  }

  function remember() {
    const p = new URLSearchParams();
    if (q.value) p.set("q", q.value);
    if (sort.value !== "name") p.set("sort", sort.value);
    if (!down) p.set("up", "1");
    const hash = p.toString();
    if (hash !== location.hash.slice(1)) try { history.replaceState(null, "", hash ? "#" + hash : location.pathname + location.search); } catch { /* a sandboxed page keeps its address */ }
  }

  function recall() {
    const p = new URLSearchParams(location.hash.slice(1));
    q.value = p.get("q") ?? "";
    if ([...sort.options].some((o) => o.value === p.get("sort"))) sort.value = p.get("sort");
    down = p.get("up") !== "1";
    filter();
    order();
    if (p.get("open") === "all") toggle();
  }

  function toggle() {
    anyOpen = !anyOpen;
    for (const c of cards) c.el.open = anyOpen && !c.el.hidden;
    open.textContent = anyOpen ? "close all" : "open all";
  }

  let waiting = 0;
  q.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 80); });
  q.form.addEventListener("submit", (e) => e.preventDefault());
  sort.addEventListener("change", order);
  turn.addEventListener("click", () => { down = !down; order(); });
  open.addEventListener("click", toggle);
  addEventListener("hashchange", recall);
  addEventListener("keydown", (e) => { if (e.key === "/" && document.activeElement !== q) { e.preventDefault(); q.focus(); } });
  recall();
})();
