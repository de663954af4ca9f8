(() => {
  const box = document.querySelector("#find"), chips = [...document.querySelectorAll(".chips button")];
  if (!box) return;
  const groups = [...document.querySelectorAll(".group")];
  const above = e => e.parentElement.closest(".group");
  const titles = new Map();
  for (const g of groups) titles.set(g, ((above(g) ? titles.get(above(g)) : "") + " " + g.dataset.name).toLowerCase());
  const cases = [...document.querySelectorAll(".case")].map(c => [c, above(c), c.querySelector(".name").textContent.toLowerCase()]);
  const show = () => {
    const off = new Set(chips.filter(c => c.getAttribute("aria-pressed") === "false").map(c => c.value));
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const alive = new Set();
    let seen = 0;
    for (const [row, group, name] of cases) {
      const title = titles.get(group);
      row.hidden = off.has(row.dataset.o) || !words.every(w => name.includes(w) || title.includes(w));
      seen += !row.hidden;
      if (!row.hidden) for (let g = group; g && !alive.has(g); g = above(g)) alive.add(g);
    }
    for (const g of groups) {
      g.hidden = !alive.has(g);
      if (words.length && alive.has(g)) g.open = true;
    }
    document.querySelector("#seen").textContent = words.length || off.size ? seen + " shown" : "";
  };
  for (const chip of chips) chip.addEventListener("click", () => { chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") === "false"); show(); });
  box.addEventListener("input", show);
  const reveal = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let e = target; e; e = e.parentElement) if (e.tagName === "DETAILS") e.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
