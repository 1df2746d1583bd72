// The votes of each network: the image under its noise, bars, and what they say so far.

import { byId, element } from "/static/parts.js";
import { overDraws } from "/static/charts.js";

let panels = {};
let budget = null;

// Shows the networks, and is done when the pictures of the noise are there.
export async function begin(voters, image, model, asked) {
  budget = asked;
  panels = {};
  byId("voters").replaceChildren(...voters.map((voter) => panel(voter, voters.length, image, model)));
  byId("votes").hidden = false;
  byId("caution").hidden = false;
  byId("arriving").textContent = "Draws are still arriving";
  say("selecting the class");
  await Promise.allSettled(Object.values(panels).map((one) => one.noisy.decode()));
}

function say(text) {
  byId("state").textContent = text;
}

export function halted(text) {
  say("no certificate");
  byId("arriving").textContent = text;
}

function panel({ name, sigma }, count, image, model) {
  const place = element("div", "", "voter");
  const heading = element("h3", count > 1 ? `${name}, σ = ${sigma}` : `The image under noise of σ = ${sigma}`);
  const noisy = element("img", "", "pixels noisy");
  noisy.alt = `eight copies of the image under noise of σ = ${sigma}`;
  noisy.src = `/images/${image}/noisy.png?${new URLSearchParams({ model, voter: name })}`;
  const parts = element("div", "", "parts"), bars = element("div", "", "bars");
  const charts = element("div"), said = element("p", "not asked yet", "faint");
  const shares = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const radii = shares.cloneNode();
  for (const svg of [shares, radii]) svg.setAttribute("class", "chart");
  charts.append(shares, radii);
  charts.hidden = true;
  parts.append(bars, charts);
  place.append(heading, noisy, said, parts);
  parts.hidden = true;
  panels[name] = { noisy, parts, bars, charts, said, shares, radii, points: [], candidate: null };
  return place;
}

export function show(values) {
  const panel = panels[values.voter];
  panel.parts.hidden = false;
  if (values.selects) {
    const most = values.bars.reduce((a, b) => (b.votes > a.votes ? b : a));
    panel.said.textContent = `${values.draws.toLocaleString("en")} draws select: ${most.name}`;
    showBars(panel, values.bars, most.name);
    return;
  }
  say(`${values.voter}: ${values.draws.toLocaleString("en")} of at most ${budget.n.toLocaleString("en")} draws`);
  showBars(panel, values.bars, values.candidate);
  panel.charts.hidden = false;
  const [low, high] = values.interval;
  panel.points.push({ draws: values.draws, low, high, radius: values.radius });
  panel.last = values;
  panel.said.textContent =
    `${values.draws.toLocaleString("en")} fresh draws: ${values.candidate} has ${values.interval_text} % of the noise`;
  drawCharts(panel, null);
}

function showBars(panel, bars, candidate) {
  const rows = bars.flatMap((one) => {
    const bar = element("div", "", one.name === candidate ? "bar candidate" : "bar");
    const filled = element("div");
    filled.style.width = `${100 * one.share}%`;
    bar.append(filled);
    const name = element("span", one.name, "name");
    name.title = one.name;
    return [name, bar, element("span", `${one.text} %`, "count")];
  });
  panel.bars.replaceChildren(...rows);
}

function drawCharts(panel, certificate) {
  const { candidate, most } = panel.last;
  const bottom = Math.floor(20 * Math.min(...panel.points.map((point) => point.low))) / 20;
  const end = certificate && { share: certificate.p_lower, radius: certificate.voter_radius };
  overDraws(panel.shares, {
    title: `probability of ${candidate}`, points: panel.points, n: budget.n, bottom, top: 1,
    end: end && { value: end.share, text: `at least ${certificate.p_lower_text}` },
  });
  overDraws(panel.radii, {
    title: end ? "radius" : "radius so far, no certificate",
    points: panel.points.map(({ draws, radius }) => ({ draws, low: radius, high: radius })),
    n: budget.n, bottom: 0, top: most || 1,
    end: end && { value: end.radius, text: certificate.voter_radius_text },
  });
}

export function finish(certificate) {
  byId("caution").hidden = true;
  say("all draws are there");
  const panel = panels[certificate.voter];
  if (panel?.last) drawCharts(panel, certificate);
  for (const one of Object.values(panels)) {
    if (!one.last && !one.points.length) one.said.textContent += "; no more of its draws were needed";
  }
}
