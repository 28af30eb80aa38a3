// Settings as controls, drawn from what the parts say of themselves. Sliders are sent while they move.
import { at, make } from "./make.js";

const PAUSE_MS = 80, OPEN = 2; // of the groups, at first

export class Look {
  #act; #waiting = {}; #timer = null;

  constructor(act) {
    this.#act = act;
  }

  offer(groups) {
    if (at("look").contains(document.activeElement) && this.#renew(groups.flatMap((group) => group.controls))) return;
    at("look").replaceChildren(...groups.map((group, k) => make(
      "details", { open: k < OPEN },
      make("summary", {}, group.title),
      make("div", { className: "controls" }, ...group.controls.map((one) => this.#control(one))),
    )));
  }

  // Somebody is at it: only the values, in the controls that are there. False where other ones are wanted.
  #renew(controls) {
    const there = [...at("look").querySelectorAll("[data-key]")];
    if (there.map((input) => input.dataset.key).join() !== controls.map((one) => one.key).join()) return false;
    for (const [k, input] of there.entries()) {
      if (controls[k].key in this.#waiting) continue;
      if (input.type === "checkbox") input.checked = controls[k].value;
      else input.value = controls[k].value;
      if (input.type === "range") input.parentElement.querySelector("output").textContent = input.value;
    }
    return true;
  }

  #control(one) {
    const id = `set-${one.key}`, help = `${id}-help`;
    const value = make("output", { for: id }, String(one.value));
    const words = one.help + (one.live ? "" : " · begins anew");
    const common = { id, "aria-describedby": help, "data-key": one.key };
    let input;
    if (one.type === "switch") {
      input = make("input", { ...common, type: "checkbox", role: "switch", checked: one.value });
      input.onchange = () => this.#set(one.key, input.checked);
    } else if (one.type === "choice") {
      input = make("select", common, ...one.choices.map((word) => make("option", { value: word }, word)));
      input.value = one.value;
      input.onchange = () => this.#set(one.key, input.value);
    } else {
      input = make("input", { ...common, type: "range", min: one.low, max: one.high, step: one.step });
      input.value = one.value;
      const tell = () => { value.textContent = input.value; };
      input.oninput = () => { tell(); if (one.live) this.#set(one.key, Number(input.value)); };
      input.onchange = () => { if (!one.live) this.#set(one.key, Number(input.value)); };
      input.ondblclick = () => { input.value = one.default; tell(); this.#set(one.key, one.default); };
    }
    return make(
      "div", { className: `control ${one.type}` },
      make("label", { for: id }, one.name), one.type === "range" ? value : null, input, make("small", { id: help }, words),
    );
  }

  #set(key, value) {
    this.#waiting[key] = value;
    this.#timer ??= setTimeout(() => {
      const all = this.#waiting;
      [this.#waiting, this.#timer] = [{}, null];
      this.#act("PATCH", "settings", all);
    }, PAUSE_MS);
  }
}
