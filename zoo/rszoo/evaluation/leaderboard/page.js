"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const form = document.querySelector("form");
  const sections = all("section");

  // What is searched: a row's own text, and the heading that it stands under.
  const texts = new Map();
  for (const section of sections) {
    const heading = section.querySelector("h2").textContent;
    for (const row of all("tbody tr", section)) {
      const names = all("th, td:nth-child(2)", row).map((cell) => cell.textContent);
      texts.set(row, [heading, ...names].join(" ").toLowerCase());
    }
  }

  function filter() {
    const { text, dataset, sigma, method, published } = form.elements;
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const section of sections) {
      const wanted =
        ["", section.dataset.dataset].includes(dataset.value) &&
        ["", section.dataset.sigma].includes(sigma.value);
      let left = 0;
      for (const row of all("tbody tr", section)) {
        const keep =
          wanted &&
          ["", row.dataset.method].includes(method.value) &&
          (published.checked || !row.classList.contains("published")) &&
          words.every((word) => texts.get(row).includes(word));
        for (const part of all(`[data-row="${row.dataset.row}"]`, section)) {
          part.toggleAttribute("hidden", !keep);
        }
        left += keep;
      }
      section.hidden = left === 0;
      shown += left;
    }
    form.querySelector("output").textContent = `${shown} of ${texts.size} entries`;
  }

  // Unknown values stay at the end in both directions.
  function compare(first, second, sign) {
    const [a, b] = [first.dataset.value, second.dataset.value];
    if (first.classList.contains("number")) {
      if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
      return sign * (Number(a) - Number(b));
    }
    return sign * first.textContent.localeCompare(second.textContent);
  }

  function sort(head) {
    const body = head.closest("table").tBodies[0];
    const column = head.cellIndex;
    const before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : column > 1;
    for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...body.rows].sort(
      (first, second) =>
        first.dataset.part - second.dataset.part ||
        compare(first.cells[column], second.cells[column], down ? -1 : 1),
    );
    body.append(...rows);
  }

  // Says that a table goes on to the right, until it has been seen there.
  for (const table of all(".scroll")) {
    const hint = table.previousElementSibling;
    const update = () => {
      hint.hidden = table.scrollLeft + table.clientWidth >= table.scrollWidth - 8;
    };
    table.addEventListener("scroll", update);
    new ResizeObserver(update).observe(table);
  }

  for (const head of all("thead th")) {
    head.firstElementChild.addEventListener("click", () => sort(head));
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
})();
