// Small parts that all of the page uses: elements, requests, and streams of events.

export const byId = (id) => document.getElementById(id);

export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function fail(error) {
  if (error.name === "AbortError") return;
  const place = byId("error");
  place.textContent = error.message;
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

export function forgive() {
  byId("error").hidden = true;
}

async function checked(answer) {
  if (answer.ok) return answer;
  const text = await answer.text();
  let said = text;
  try { said = JSON.parse(text).error; } catch { /* no JSON */ }
  throw new Error(said || `the explorer answered ${answer.status}`);
}

export async function json(path, options = {}) {
  return (await checked(await fetch(path, options))).json();
}

// Calls `on[name](values)` for every event of a stream; an event `failed` is thrown as an error.
export async function stream(path, asked, signal, on) {
  const answer = await checked(await fetch(path, {
    method: "POST", body: JSON.stringify(asked), headers: { "Content-Type": "application/json" }, signal,
  }));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (waiting + value).split("\n\n");
    waiting = events.pop();
    for (const text of events) {
      const [, name, data] = text.match(/^event: (\w+)\ndata: (.*)$/) ?? [];
      if (name === "failed") throw new Error(JSON.parse(data).error);
      if (name) on[name]?.(JSON.parse(data));
    }
  }
}
