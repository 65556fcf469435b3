"use strict";
// The time and the values under the pointer: each line knows its own points, so nothing is stored twice.
(() => {
  const two = (n) => String(n).padStart(2, "0");
  const timecode = (s) => (s >= 3600 ? Math.floor(s / 3600) + ":" + two(Math.floor(s / 60) % 60) : Math.floor(s / 60)) + ":" + two(Math.floor(s % 60)) + "." + two(Math.floor((s * 100) % 100));
  const known = new WeakMap();
  function points(path) {
    if (!known.has(path)) {
      const n = path.getAttribute("d").match(/-?\d+/g).map(Number), p = [[n[0], n[1]]];
      for (let i = 2; i + 1 < n.length; i += 2) p.push([p.at(-1)[0] + n[i], p.at(-1)[1] + n[i + 1]]);
      known.set(path, p);
    }
    return known.get(path);
  }
  function at(path, x) {
    const p = points(path);
    let i = p.findIndex((c) => c[0] >= x);
    if (i === 0 || (i < 0 && p.at(-1)[0] < x - 12)) return i === 0 && p[0][0] - x < 12 ? p[0][1] : null;
    if (i < 0) return p.at(-1)[1];
    const [a, b] = [p[i - 1], p[i]];
    return b[0] === a[0] ? b[1] : a[1] + ((b[1] - a[1]) * (x - a[0])) / (b[0] - a[0]);
  }
  let shown = null;
  function clear() {
    shown?.querySelector(".cursor")?.remove();
    shown?.querySelectorAll("output").forEach((o) => (o.textContent = ""));
    shown = null;
  }
  document.addEventListener("pointermove", (e) => {
    const plots = e.target.closest?.(".plots"), box = plots?.querySelector(".box");
    const r = box?.getBoundingClientRect(), share = r ? (e.clientX - r.left) / r.width : -1;
    if (plots !== shown || share < 0 || share > 1) clear();
    if (!plots || share < 0 || share > 1) return;
    shown = plots;
    let cursor = plots.querySelector(".cursor");
    if (!cursor) { cursor = document.createElement("span"); cursor.className = "cursor"; plots.append(cursor); }
    const from = Number(plots.dataset.start), to = Number(plots.dataset.end);
    cursor.style.left = e.clientX - plots.getBoundingClientRect().left + "px";
    cursor.textContent = timecode(Math.max(0, from + share * (to - from)));
    for (const row of plots.querySelectorAll(".chart")) {
      const svg = row.querySelector(".plot"), low = Number(svg.dataset.low), high = Number(svg.dataset.high);
      const values = [...svg.querySelectorAll(".line")].map((l) => at(l, share * 600)).map((y) => (y === null ? "–" : (high - (y / 100) * (high - low)).toPrecision(3)));
      row.querySelector("output").textContent = values.join(" · ");
    }
  });
  document.documentElement.addEventListener("pointerleave", clear);
})();
