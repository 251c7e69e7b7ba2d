"use strict";
// Two comforts; without them every step and every rule is simply on the page.
for (const box of document.querySelectorAll(".frames")) {
  const frames = [...box.querySelectorAll(".frame")];
  if (frames.length < 2) continue;
  const bar = document.createElement("div");
  bar.className = "slider";
  const back = document.createElement("button");
  const on = document.createElement("button");
  const range = document.createElement("input");
  const said = document.createElement("output");
  back.type = on.type = "button";
  back.textContent = "◀";
  on.textContent = "▶";
  back.setAttribute("aria-label", "step before");
  on.setAttribute("aria-label", "next step");
  range.type = "range";
  range.min = 1;
  range.max = frames.length;
  range.value = frames.length;
  range.setAttribute("aria-label", "step");
  const show = () => {
    const at = Number(range.value);
    frames.forEach((frame, n) => { frame.hidden = n + 1 !== at; });
    const mark = frames[at - 1].querySelector(".lanes b");
    if (mark) {
      const lane = mark.closest(".scroll");
      lane.scrollLeft = mark.offsetLeft - lane.clientWidth + 40;
    }
    said.textContent = `step ${at} of ${frames.length}`;
    range.setAttribute("aria-valuetext", said.textContent);
    back.disabled = at === 1;
    on.disabled = at === frames.length;
  };
  const move = (by) => () => { range.value = Number(range.value) + by; show(); };
  back.addEventListener("click", move(-1));
  on.addEventListener("click", move(1));
  range.addEventListener("input", show);
  bar.append(back, range, on, said);
  box.before(bar);
  box.classList.add("live");
  box.removeAttribute("tabindex");
  show();
}
for (const field of document.querySelectorAll("input[data-filter]")) {
  const rules = [...document.getElementById(field.dataset.filter).children];
  const texts = rules.map((rule) => rule.textContent.toLowerCase());
  const said = field.closest("p").querySelector("output");
  field.closest("p").hidden = false;
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    let left = 0;
    rules.forEach((rule, n) => {
      rule.hidden = !texts[n].includes(wanted);
      left += rule.hidden ? 0 : 1;
    });
    said.textContent = wanted ? `${left} of ${rules.length}` : "";
  });
}
