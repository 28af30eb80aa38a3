// Which camera, and where the picture goes. While live, a change begins anew with it.
import { at, make } from "./make.js";

export class Places {
  #act; #state = null; #pages = "[]"; #sinks = new Map();

  constructor(act) {
    this.#act = act;
    at("choose").onsubmit = (event) => event.preventDefault();
    at("choose").onchange = () => act("POST", "choose", this.#chosen());
  }

  offer(sources, sinks) {
    const note = (one) => (one.why_not || one.note ? ` – ${one.why_not || one.note}` : "");
    at("source").replaceChildren(...sources.map((one) => make("option", { value: one.id, disabled: Boolean(one.why_not) }, one.name + note(one))));
    this.#sinks.clear();
    at("sinks").replaceChildren(...sinks.map((one) => {
      const box = make("input", { type: "checkbox", value: one.id, disabled: Boolean(one.why_not) });
      this.#sinks.set(one.id, box);
      return make("label", { className: "option" }, box, make("span", {}, make("strong", {}, one.name), make("small", {}, one.why_not || one.note)));
    }));
    if (this.#state) this.show(this.#state);
  }

  show(state) {
    this.#state = state;
    if (document.activeElement !== at("source")) at("source").value = state.source;
    for (const [id, box] of this.#sinks) box.checked = state.sinks.includes(id);
    const pages = Object.entries(state.addresses), text = JSON.stringify(pages);
    if (text === this.#pages) return;
    this.#pages = text;
    at("addresses").hidden = pages.length === 0;
    at("addresses").replaceChildren(...pages.map(([name, url]) => make("div", {}, make("dt", {}, name), make("dd", {}, make("a", { href: url, target: "_blank", rel: "noreferrer" }, url)))));
  }

  #chosen() {
    return { source: at("source").value, sinks: [...this.#sinks].filter(([, box]) => box.checked).map(([id]) => id) };
  }
}
