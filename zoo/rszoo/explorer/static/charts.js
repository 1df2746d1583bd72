// Pictures of numbers, as SVG: a band and a line over the draws, and dots over distances.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 420, LEFT = 44, RIGHT = 12, TOP = 28, BOTTOM = 26;

function add(to, tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  to.append(made);
  return made;
}

function blank(svg, height, title) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${height}`);
  add(svg, "text", { x: 0, y: 13, class: "strong" }, title);
}

const short = (value) => String(Number(value.toPrecision(3)));
const counted = (value) => (value >= 1e6 ? `${short(value / 1e6)}M` : value >= 1e3 ? `${short(value / 1e3)}k` : String(value));

// points: {draws, low, high}; `low` and `high` may be the same. end: {value, text} once all is done.
export function overDraws(svg, { title, points, n, bottom, top, end }) {
  const height = 156;
  blank(svg, height, title);
  const first = Math.min(points[0]?.draws ?? 1, n / 2);
  const x = (draws) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(draws / first)) / Math.log(n / first);
  const y = (value) => height - BOTTOM - ((height - TOP - BOTTOM) * (Math.max(bottom, value) - bottom)) / (top - bottom);
  for (const value of [bottom, (bottom + top) / 2, top]) {
    add(svg, "line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "grid" });
    add(svg, "text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, short(value));
  }
  add(svg, "text", { x: LEFT, y: height - 6 }, counted(Math.round(first)));
  for (let tick = 1; tick < n; tick *= 10) {
    if (tick <= 1.5 * first || tick >= n / 5) continue;
    add(svg, "line", { x1: x(tick), x2: x(tick), y1: TOP, y2: height - BOTTOM, class: "grid" });
    add(svg, "text", { x: x(tick), y: height - 6, "text-anchor": "middle" }, counted(tick));
  }
  add(svg, "text", { x: WIDTH - RIGHT, y: height - 6, "text-anchor": "end" }, `n = ${counted(n)}`);
  const there = points.map((point) => `${x(point.draws)},${y(point.low)}`);
  const back = points.map((point) => `${x(point.draws)},${y(point.high)}`).reverse();
  if (points.some((point) => point.low !== point.high)) {
    add(svg, "polygon", { points: [...there, ...back].join(" "), class: "band" });
  }
  add(svg, "polyline", { points: there.join(" "), class: "line" });
  if (end) {
    add(svg, "circle", { cx: x(n), cy: y(end.value), r: 5, class: "point" });
    const down = y(end.value) < height / 2 ? 18 : -9;
    add(svg, "text", { x: x(n) - 2, y: y(end.value) + down, "text-anchor": "end", class: "strong" }, end.text);
  }
}

// rows: names; tried: {distance, answers: ["same", "other" or "unsure" for each row]}.
export function overDistances(svg, { rows, tried, radius, radiusText, most }) {
  const left = 130, line = 26, height = TOP + line * rows.length + BOTTOM + 8;
  blank(svg, height, "");
  const x = (distance) => left + ((WIDTH - left - RIGHT) * distance) / most;
  const end = TOP + line * rows.length;
  if (radius > 0) {
    add(svg, "rect", { x: left, y: TOP, width: x(radius) - left, height: end - TOP, class: "inside" });
    add(svg, "line", { x1: x(radius), x2: x(radius), y1: TOP, y2: end, class: "mark" });
    add(svg, "text", { x: x(radius), y: 14, "text-anchor": "middle", class: "strong" }, `radius ${radiusText}`);
  }
  rows.forEach((name, row) => {
    const y = TOP + line * (row + 0.5);
    add(svg, "line", { x1: left, x2: WIDTH - RIGHT, y1: y, y2: y, class: "grid" });
    add(svg, "text", { x: 0, y: y + 4, class: "strong" }, name);
    for (const { distance, answers } of tried) {
      add(svg, "circle", { cx: x(distance), cy: y, r: 5, class: answers[row] });
    }
  });
  add(svg, "text", { x: left, y: end + 18 }, "0");
  add(svg, "text", { x: WIDTH - RIGHT, y: end + 18, "text-anchor": "end" }, `distance ${short(most)}`);
}
