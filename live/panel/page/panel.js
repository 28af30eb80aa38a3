// Begins here: connects, shows the picture, and hands the state to each part of the page.
import { ask, connect } from "./link.js";
import { at, complain } from "./make.js";
import { offerTabs, openTab } from "./tabs.js";
import { Faces } from "./faces.js";
import { Places } from "./places.js";
import { Look } from "./look.js";
import { Health } from "./health.js";
import { Guide } from "./guide.js";
import { Presets } from "./presets.js";

const PHASES = { off: "off", starting: "starting", live: "live", stopping: "stopping" };
let state = null, comparing = false, trouble = null;

const tell = (error) => { trouble = error; show(); };
const act = async (method, path, body) => {
  try {
    await ask(method, path, body);
    tell(null);
  } catch (error) {
    tell(error);
  }
};
const faces = new Faces(act, load, tell);
const places = new Places(act);
const look = new Look(act);
const health = new Health();
const guide = new Guide(openTab);
const presets = new Presets(load);

async function load() {
  try {
    const choices = await ask("GET", "choices");
    faces.offer(choices.faces);
    places.offer(choices.sources, choices.sinks);
    look.offer(choices.settings);
    guide.offer(choices);
    presets.offer(choices.presets, choices.next);
    show();
  } catch (error) {
    tell(error);
  }
}

function show() {
  complain(at("trouble"), trouble ?? state?.trouble);
  if (!state) return;
  const { phase, covered } = state;
  const on = phase === "live" || phase === "starting";
  document.title = `${covered && on ? "covered" : PHASES[phase]} – doppelcam`;
  at("phase").textContent = covered && on ? "covered" : PHASES[phase];
  at("phase").dataset.phase = covered && on ? "covered" : phase;
  at("go").textContent = on ? "Stop" : "Go live";
  at("go").classList.toggle("main", !on);
  at("go").disabled = phase === "stopping";
  at("cover").disabled = false;
  at("cover").setAttribute("aria-pressed", covered);
  at("cover").firstChild.textContent = covered ? "Show again " : "Cover now ";
  at("cover").querySelector("kbd").hidden = covered;
  at("compare").disabled = !on;
  at("compare").hidden = state.away; // the camera's own picture stays on its computer
  at("sign-out").hidden = !state.away;
  at("screen").dataset.covered = covered;
  at("task").hidden = !state.task;
  at("task").textContent = state.task;
  at("empty").hidden = drawn;
  faces.show(state);
  places.show(state);
  health.show(state);
  guide.show(state);
  presets.show(state);
}

let swappers = "";
let drawn = false, link = 0; // which connection this is
const watch = connect({
  state(told) {
    state = told;
    show();
    const now = [state.source, state.swappers, state.preset].join();
    if (now !== swappers) { swappers = now; load(); } // other parts, other settings
  },
  async picture(kind, blob) {
    const from = link, picture = await createImageBitmap(blob);
    if (from !== link) return; // of a connection that has gone meanwhile
    const canvas = at(kind);
    if (canvas.width !== picture.width || canvas.height !== picture.height) {
      [canvas.width, canvas.height] = [picture.width, picture.height];
    }
    canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
    if (kind === "after" && !drawn) { drawn = true; at("empty").hidden = true; }
  },
  here(yes) {
    link += 1;
    document.body.classList.toggle("gone", !yes);
    if (yes) { swappers = ""; return; }
    state = null;
    drawn = false;
    clear();
    at("phase").textContent = "connecting";
    at("phase").dataset.phase = "off";
    at("empty").hidden = false;
    at("empty").textContent = "doppelcam is not running. This page waits for it.";
    for (const id of ["go", "cover", "compare"]) at(id).disabled = true;
  },
});

// No old picture stands there as if it were alive.
function clear() {
  for (const id of ["after", "before"]) at(id).getContext("2d").clearRect(0, 0, at(id).width, at(id).height);
}

function choose() {
  watch(document.hidden ? [] : comparing ? ["after", "before"] : ["after"]);
}

at("go").onclick = () => act("POST", state.phase === "off" ? "start" : "stop", {});
at("cover").onclick = () => act("POST", "cover", { on: !state.covered });
at("sign-out").onclick = async () => {
  await ask("POST", "sign-out", {}).catch(() => null);
  location.reload();
};
at("compare").onclick = () => {
  comparing = !comparing;
  at("compare").setAttribute("aria-pressed", comparing);
  at("before-side").hidden = at("after-label").hidden = !comparing;
  choose();
};
document.addEventListener("visibilitychange", choose);
// First of all, and whatever has the focus. What else Esc does (closing a dialog) it does when all is covered.
window.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !state || state.covered) return;
  event.preventDefault();
  event.stopPropagation();
  act("POST", "cover", { on: true });
}, { capture: true });
offerTabs();
choose();
