// The image: of the data set, drawn, or from a file. `onImage` is told of every new one.

import { byId, fail, forgive, json } from "/static/parts.js";

export function setUp(model, onImage) {
  const chosen = async (asking) => {
    try {
      const image = await asking;
      forgive();
      onImage(image);
    } catch (error) { fail(error); }
  };
  tabs(model);
  tests(model, chosen);
  if (model.shape[0] === 1) drawing(model.shape, chosen);
  file(chosen);
}

function upload(body, name) {
  return json(`/images?name=${encodeURIComponent(name)}`, {
    method: "POST", body, headers: { "Content-Type": "application/octet-stream" },
  });
}

function tabs(model) {
  const buttons = [...document.querySelectorAll("[data-tab]")];
  const show = (name) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.tab === name));
    for (const part of document.querySelectorAll("[data-shown]")) part.hidden = part.dataset.shown !== name;
  };
  const there = { tests: model.tests > 0, drawn: model.shape[0] === 1, file: true };
  for (const button of buttons) {
    button.hidden = !there[button.dataset.tab];
    button.addEventListener("click", () => show(button.dataset.tab));
  }
  show(there.tests ? "tests" : there.drawn ? "drawn" : "file");
}

function tests(model, chosen) {
  if (!model.tests) return;
  const place = byId("place");
  place.max = model.tests - 1;
  const go = (to) => {
    place.value = ((to % model.tests) + model.tests) % model.tests;
    chosen(json(`/tests/${place.value}`));
  };
  byId("before").addEventListener("click", () => go(Number(place.value) - 1));
  byId("after").addEventListener("click", () => go(Number(place.value) + 1));
  byId("any").addEventListener("click", () => go(Math.floor(Math.random() * model.tests)));
  place.addEventListener("change", () => go(Math.trunc(Number(place.value)) || 0));
  go(0);
}

function drawing([, height, width], chosen) {
  const canvas = byId("drawing");
  canvas.width = Math.round((280 * width) / Math.max(height, width));
  canvas.height = Math.round((280 * height) / Math.max(height, width));
  const pen = canvas.getContext("2d");
  const wipe = () => {
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, canvas.width, canvas.height);
  };
  Object.assign(pen, { lineWidth: 28, lineCap: "round", lineJoin: "round", strokeStyle: "#fff" });
  wipe();
  byId("wipe").addEventListener("click", wipe);
  let last = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) * canvas.width) / box.width,
      ((event.clientY - box.top) * canvas.height) / box.height,
    ];
  };
  const draw = (event) => {
    if (!last) return;
    const next = at(event);
    pen.beginPath();
    pen.moveTo(...last);
    pen.lineTo(...next);
    pen.stroke();
    last = next;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = at(event);
    draw(event);
  });
  canvas.addEventListener("pointermove", draw);
  const lift = () => {
    if (!last) return;
    last = null;
    canvas.toBlob((blob) => chosen(upload(blob, "drawing")), "image/png");
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
}

function file(chosen) {
  const take = (given) => given && chosen(upload(given, given.name));
  byId("file").addEventListener("change", (event) => take(event.target.files[0]));
  const drop = byId("drop");
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", over);
    });
  }
  document.addEventListener("drop", (event) => take(event.dataTransfer.files[0]));
}
