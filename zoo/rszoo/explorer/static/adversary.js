// The adversary: the image moved by a distance, and what is answered there.

import { byId, element, fail, stream } from "/static/parts.js";
import { overDistances } from "/static/charts.js";

let about = null, running = null, waiting = null, tried = [], rows = [];

export function forget() {
  running?.abort();
  clearTimeout(waiting);
  byId("adversary").hidden = true;
}

// asked: model and image; certificate: of it.
export function begin(asked, certificate) {
  const { radius } = certificate;
  const most = radius > 0 ? 2 * radius : 2 * Number(certificate.sigma);
  about = { asked, certificate, most };
  restart();
  byId("adversary").hidden = false;
  byId("still").src = `/images/${asked.image}.png`;
  byId("promise").textContent = radius > 0
    ? `Closer than ${certificate.radius_text} the smoothed answer stays ${certificate.class}: that is certified. ` +
      "Nothing is promised of the bare network, anywhere, nor of the smoothed one further away."
    : "Nothing is certified here, so nothing is promised at any distance.";
  const slider = byId("distance");
  slider.max = most;
  slider.value = 0;
  showDistance(0);
}

function restart() {
  running?.abort();
  tried = [];
  byId("tried-in").hidden = true;
  byId("moved").hidden = true;
  byId("moved-by").textContent = "";
  byId("answers").replaceChildren();
  byId("moving").textContent = "move the slider";
}

function showDistance(distance) {
  const { radius, radius_text: text } = about.certificate;
  const where = !(radius > 0) ? "" : distance < radius ? `, closer than the radius ${text}` : `, beyond the radius ${text}`;
  byId("far").textContent = `${distance.toFixed(3)}${where}`;
}

async function move(distance) {
  running?.abort();
  const { asked, certificate } = about;
  const mine = (running = new AbortController());
  const way = document.querySelector("input[name=way]:checked").value;
  const label = certificate.label ?? certificate.candidate;
  byId("moving").textContent = way === "random" ? "moving" : "searching";
  const point = { ...asked, way, distance, label, voter: certificate.voter };
  await stream("/move", point, mine.signal, { moved: (values) => show(values, label) });
  byId("moving").textContent = "";
}

function show(values, label) {
  const image = byId("moved");
  image.src = `/images/${values.image}.png`;
  image.hidden = false;
  byId("moved-by").textContent = `moved by ${values.distance_text}`;
  const smoothed = values.label === null ? "unsure" : values.label === label ? "same" : "other";
  const answers = [
    { name: "smoothed", text: values.class === null ? "not sure" : `${values.class} (${values.text} % of ${values.n.toLocaleString("en")} draws)`, is: smoothed },
    ...values.bare.map((one) => ({
      name: values.bare.length > 1 ? `bare ${one.name}` : "bare network",
      text: `${one.class} (gives it ${one.text} %)`, is: one.holds ? "same" : "other",
    })),
  ];
  byId("answers").replaceChildren(...answers.map((one) => {
    const row = element("tr");
    const said = { same: "as before", other: "changed", unsure: "abstains" }[one.is];
    const kind = { same: "kept", other: "changed", unsure: "" }[one.is];
    row.append(element("th", one.name), element("td", one.text), element("td", said, kind));
    return row;
  }));
  rows = answers.map((one) => one.name);
  tried.push({ distance: values.distance, answers: answers.map((one) => one.is) });
  byId("tried-in").hidden = false;
  const { radius, radius_text: radiusText } = about.certificate;
  overDistances(byId("tried"), { rows, tried, radius, radiusText, most: about.most });
}

export function setUp() {
  const slider = byId("distance");
  slider.addEventListener("input", () => {
    const distance = Number(slider.value);
    showDistance(distance);
    clearTimeout(waiting);
    if (distance > 0) waiting = setTimeout(() => move(distance).catch(fail), 120);
  });
  for (const way of document.querySelectorAll("input[name=way]")) {
    way.addEventListener("change", () => {
      restart();
      if (Number(slider.value) > 0) move(Number(slider.value)).catch(fail);
    });
  }
  byId("sweep").addEventListener("click", async () => {
    try {
      for (let step = 1; step <= 10; step += 1) {
        const distance = (about.most * (step - 0.5)) / 10;
        slider.value = distance;
        showDistance(distance);
        await move(distance);
      }
    } catch (error) { fail(error); }
  });
}
