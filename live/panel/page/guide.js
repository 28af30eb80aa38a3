// The first steps, until they were gone once: camera, face, way out, live; and what to do in the meeting program.
import { at, make } from "./make.js";

const DONE = "doppelcam.guided";

export class Guide {
  #open; #outs = false; #steps = "";

  constructor(open) {
    this.#open = open;
  }

  offer(choices) {
    this.#outs = choices.sinks.some((sink) => !sink.why_not);
  }

  show(state) {
    if (remembered()) { at("guide").hidden = true; return; }
    const out = state.sinks.length > 0, live = state.phase === "live" && state.figures?.fps > 0;
    const steps = [
      ["Choose your camera", "places", true],
      ["Choose a face", "faces", Boolean(state.face)],
      [this.#outs ? "Choose where the picture goes" : "Nothing here takes the picture yet: see Health, Check this computer", "places", out],
      ["Press Go live", null, live],
    ];
    const text = JSON.stringify([steps, state.sinks, Object.keys(state.addresses)]);
    if (text === this.#steps) return;
    this.#steps = text;
    const end = live && out;
    const close = make("button", { className: "quiet" }, end ? "Got it" : "Skip");
    close.onclick = () => { remember(); at("guide").hidden = true; };
    at("guide").replaceChildren(
      make("h2", {}, end ? "You are live" : "First steps"),
      end
        ? make("p", {}, ...(state.sinks.some((sink) => /^(virtual|pipewire)/.test(sink))
          ? ["Now select ", make("strong", {}, "doppelcam"), " as the camera in your meeting program."]
          : Object.keys(state.addresses).length
            ? ["Now add the address that ", make("strong", {}, "Camera"), " shows to OBS as a browser source."]
            : ["The picture goes to ", make("strong", {}, state.sinks.join(", ")), "."]))
        : make("ol", {}, ...steps.map(([words, tab, done]) => {
          const step = tab ? make("button", { className: "link" }, words) : make("span", {}, words);
          if (tab) step.onclick = () => this.#open(tab, true);
          return make("li", { className: done ? "done" : "" }, step);
        })),
      close,
    );
    at("guide").hidden = false;
  }
}

function remembered() {
  try { return localStorage.getItem(DONE) !== null; } catch { return false; }
}

function remember() {
  try { localStorage.setItem(DONE, "yes"); } catch { /* a dock without storage asks again */ }
}
