(() => {
  const box = document.querySelector("#find"), chips = [...document.querySelectorAll(".chips button")];
  if (!box) return;
  const groups = [...document.querySelectorAll(".group")].map(g => [g, [...g.querySelectorAll(":scope > .case")].map(c => [c, c.querySelector(".name").textContent.toLowerCase()])]);
  const show = () => {
    const off = new Set(chips.filter(c => c.getAttribute("aria-pressed") === "false").map(c => c.value));
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    let seen = 0;
    for (const [group, cases] of groups) {
      const title = group.dataset.name.toLowerCase();
      let any = 0;
      for (const [row, name] of cases) {
        row.hidden = off.has(row.dataset.o) || !words.every(w => name.includes(w) || title.includes(w));
        any += !row.hidden;
      }
      group.hidden = !any;
      if (words.length && any) group.open = true;
      seen += any;
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
