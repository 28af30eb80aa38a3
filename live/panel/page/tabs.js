// Tabs by the usual keys: arrows, Home, End.
import { at } from "./make.js";

const tabs = () => [...document.querySelectorAll('[role="tab"]')];

export function openTab(name, focus = false) {
  for (const tab of tabs()) {
    const on = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", on);
    tab.tabIndex = on ? 0 : -1;
    at(tab.getAttribute("aria-controls")).hidden = !on;
    if (on && focus) tab.focus();
  }
}

export function offerTabs() {
  const all = tabs();
  for (const [k, tab] of all.entries()) {
    tab.onclick = () => openTab(tab.getAttribute("aria-controls"));
    tab.onkeydown = (event) => {
      const to = { ArrowRight: k + 1, ArrowLeft: k - 1, Home: 0, End: all.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      openTab(all[(to + all.length) % all.length].getAttribute("aria-controls"), true);
    };
  }
}
