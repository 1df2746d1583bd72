// The page: an image and a budget in, the events of a certificate out.

import { byId, element, fail, forgive, json, stream } from "/static/parts.js";
import * as adversary from "/static/adversary.js";
import * as images from "/static/image.js";
import * as votes from "/static/votes.js";

let image = null, running = null;

function onImage(given) {
  halt();
  image = given;
  const shown = byId("image");
  shown.src = `/images/${given.id}.png`;
  shown.hidden = false;
  const label = given.true_class === null ? "" : `, true class ${given.true_class}`;
  byId("named").textContent = [given.name + label, ...given.notes].join(". ");
  byId("certify").disabled = false;
}

function halt() {
  running?.abort();
  running = null;
  adversary.forget();
  byId("answer").hidden = true;
  byId("votes").hidden = true;
  byId("stop").disabled = true;
}

async function certify() {
  halt();
  forgive();
  const mine = (running = new AbortController());
  byId("stop").disabled = false;
  const model = byId("model").value;
  const asked = {
    model, image: image.id, n: Number(byId("n").value), n0: Number(byId("n0").value), alpha: Number(byId("alpha").value),
  };
  try {
    const voters = await json(`/voters?${new URLSearchParams({ model })}`, { signal: mine.signal });
    await votes.begin(voters, asked.image, model, asked);
    let certificate = null;
    await stream("/certify", asked, mine.signal, {
      votes: votes.show,
      certificate: (values) => { certificate = values; },
    });
    if (certificate === null) throw new Error("the explorer was stopped before all draws were made");
    answered(certificate, asked);
  } catch (error) {
    votes.halted(error.name === "AbortError" ? "Stopped before all draws were made" : "Something went wrong");
    fail(error);
  }
  if (running === mine) byId("stop").disabled = true;
}

function answered(values, asked) {
  votes.finish(values);
  const place = byId("answer"), certified = values.class !== null;
  place.hidden = false;
  place.classList.toggle("certified", certified);
  byId("verdict").textContent = certified
    ? `${values.class}, certified within ${values.radius_text}`
    : "The classifier abstains";
  byId("statement").textContent = certified
    ? `With probability at least 1 − ${values.alpha} over the noise: no change of this image of L2 norm below ` +
      `${values.radius_text} changes the smoothed answer, nor one of at most ${values.linf_text} in every pixel.` +
      (values.true_class === null || values.true_class === values.class ? "" : ` The answer is wrong all the same: the true class is ${values.true_class}.`)
    : `${values.candidate_class} seems the most frequent class, but ${values.draws.toLocaleString("en")} draws do not show at ` +
      `α = ${values.alpha} that it has more than half of the noise all over a ball. Nothing is certified.`;
  const nearest = values.nearest.map((one) => `${one.name} (${one.text} %)`).join(" and ");
  byId("evidence").textContent =
    `${values.votes.toLocaleString("en")} of ${values.draws.toLocaleString("en")} draws on ${values.candidate_class}, so at least ` +
    `${values.p_lower_text} of the noise. Nearest classes: ${nearest}. The most that so many draws certify at ` +
    `σ = ${values.sigma} is ${values.most_text}. Seed ${values.seed}.`;
  byId("why").replaceChildren(...values.why.map((text) => element("li", text)));
  byId("command").textContent = values.command;
  byId("array").href = `/images/${asked.image}.npy`;
  byId("array").download = `${asked.image}.npy`;
  adversary.begin({ model: asked.model, image: asked.image }, values);
}

async function start() {
  const model = await json("/model");
  document.title = `${model.name} · rszoo explorer`;
  byId("about").textContent = `${model.id}: ${model.summary}, ${model.classes.length} classes of ${model.dataset}, images ${model.shape.join(" x ")}. Seed ${model.seed}.`;
  const choice = byId("model");
  for (const one of model.models) {
    const option = element("option", one.noise);
    option.value = one.id;
    option.selected = one.id === model.id;
    choice.append(option);
  }
  choice.disabled = model.models.length === 1;
  byId("n").max = model.most.n;
  byId("n0").max = model.most.n0;
  byId("asking").addEventListener("submit", (event) => {
    event.preventDefault();
    certify();
  });
  byId("stop").addEventListener("click", () => running?.abort());
  adversary.setUp();
  images.setUp(model, onImage);
}

start().catch(fail);
