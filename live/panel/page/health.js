// Figures, the age of the picture in the last minute, models, covers, errors; and doctor's findings when asked.
import { ask } from "./link.js";
import { at, make } from "./make.js";

const KEPT = 120, WIDE = 240, HIGH = 80, MOST_MS = 500; // two a second

export class Health {
  #ages = [];

  constructor() {
    at("check").onclick = () => this.#check();
  }

  show(state) {
    const now = state.figures;
    const ms = (value) => (now && now.fps > 0 ? `${value.toFixed(0)} ms` : "–");
    at("fps").textContent = now && now.fps > 0 ? now.fps.toFixed(1) : "–";
    at("p50").textContent = ms(now?.age_p50);
    at("p95").textContent = ms(now?.age_p95);
    at("dropped").textContent = now ? String(now.dropped) : "–";
    this.#ages.push(now && now.fps > 0 ? [now.age_p50, now.age_p95] : null);
    this.#ages = this.#ages.slice(-KEPT);
    if (at("health").hidden) return;
    this.#draw();
    at("remote").hidden = !state.remote;
    if (state.remote) rows(at("remote-facts"), [["address", state.remote.address], ["signed in", String(state.remote.signed_in)], ["wrong passwords", String(state.remote.wrong)]]);
    rows(at("engines"), Object.entries(now?.engines ?? {}).map(([model, facts]) => [model, facts.runs_on + (facts.fallback ? ` – fallback: ${facts.fallback}` : "")]));
    rows(at("covers"), Object.entries(now?.covers ?? {}).map(([why, count]) => [why, String(count)]));
    rows(at("errors"), Object.entries(now?.errors ?? {}).map(([line, count]) => [line, String(count)]));
  }

  #draw() {
    const most = Math.min(MOST_MS, Math.max(50, ...this.#ages.filter(Boolean).map(([, p95]) => p95)) * 1.1);
    for (const [id, k] of [["line50", 0], ["line95", 1]]) {
      const points = this.#ages.map((age, n) => age && `${((n + KEPT - this.#ages.length) * WIDE) / (KEPT - 1)},${Math.max(1, HIGH - (age[k] * HIGH) / most)}`);
      at(id).setAttribute("points", points.filter(Boolean).join(" "));
    }
    at("scale").textContent = `0 to ${most.toFixed(0)} ms from the light in the camera to the picture handed on, in the last minute: p50 (line), p95 (dashes).`;
  }

  async #check() {
    at("check").disabled = true;
    at("findings").replaceChildren(make("li", {}, "looking; this takes some seconds"));
    try {
      const found = await ask("GET", "doctor");
      const odd = found.filter((one) => one.state !== "ok");
      const fine = make("li", {}, make("span", { className: "tag self" }, "ok"), ` ${found.length - odd.length} of ${found.length} checks`);
      at("findings").replaceChildren(fine, ...odd.map((one) => make(
        "li", {}, make("span", { className: one.state === "fault" ? "tag unverified" : "tag" }, one.state), ` ${one.line}`, one.fix ? make("code", {}, one.fix) : "",
      )));
    } catch (error) {
      at("findings").replaceChildren(make("li", {}, error.message));
    } finally {
      at("check").disabled = false;
    }
  }
}

function rows(list, pairs) {
  const cells = pairs.length ? pairs : [["none", ""]];
  list.replaceChildren(...cells.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}
