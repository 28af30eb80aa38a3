// A small menu: what is set, kept under a name, put on again, deleted; and what the panel starts with the next time.
import { ask } from "./link.js";
import { at, complain, make, twice } from "./make.js";

export class Presets {
  #reload; #buttons = new Map(); #drawn = "";

  constructor(reload) {
    this.#reload = reload;
    const menu = at("presets");
    menu.ontoggle = () => { if (menu.open) { complain(at("preset-trouble"), null); reload(); } };
    document.addEventListener("pointerdown", (event) => { if (!menu.contains(event.target)) menu.open = false; });
    at("preset-form").onsubmit = async (event) => {
      event.preventDefault();
      const name = at("preset-name").value.trim();
      if (await this.#act("presets", { name })) at("preset-name").value = "";
    };
    at("preset-next").onchange = () => this.#act("presets/next", { on: at("preset-next").checked });
  }

  offer(presets, next) {
    const text = JSON.stringify(presets);
    if (text !== this.#drawn) { // else a button that asks back would forget it
      this.#drawn = text;
      this.#buttons.clear();
      at("preset-none").hidden = presets.length > 0;
      at("preset-list").replaceChildren(...presets.map((one) => this.#row(one)));
    }
    at("preset-next").checked = next;
    at("preset-next-note").textContent = next ? "Kept as it was when you ticked this." : "For doppelcam panel without flags.";
  }

  show(state) {
    for (const [name, button] of this.#buttons) button.setAttribute("aria-pressed", name === state.preset);
  }

  #row({ name, why_not: fault }) {
    const put = fault
      ? make("div", { className: "fault" }, make("strong", {}, name), make("small", {}, fault))
      : make("button", { "aria-pressed": "false" }, make("strong", {}, name));
    if (!fault) {
      put.onclick = () => this.#act("presets/use", { name });
      this.#buttons.set(name, put);
    }
    const save = make("button", { className: "quiet", "aria-label": `Replace ${name} by what is set now`, title: "Replace by what is set now" }, "↻");
    twice(save, "Replace?", () => this.#act("presets", { name, replace: true }));
    const remove = make("button", { className: "quiet", "aria-label": `Delete the preset ${name}`, title: "Delete" }, "×");
    twice(remove, "Delete?", () => this.#act("presets/remove", { name }));
    return make("li", {}, put, save, remove);
  }

  async #act(path, body) {
    let trouble = null;
    try {
      await ask("POST", path, body);
    } catch (error) {
      trouble = error;
    }
    complain(at("preset-trouble"), trouble);
    await this.#reload();
    return !trouble;
  }
}
