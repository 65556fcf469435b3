"use strict";
// The wipe: how much of the distorted picture lies over the reference.
for (const wipe of document.querySelectorAll(".wipe")) {
  const range = wipe.querySelector("input");
  const move = () => wipe.style.setProperty("--at", range.value + "%");
  range.addEventListener("input", move);
  move();
}
