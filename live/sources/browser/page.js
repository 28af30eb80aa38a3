// Sends a camera of this device to doppelcam by WHIP. After a break it goes on by itself, unless another page has taken over.
const byId = (id) => document.getElementById(id);
const [view, form, camera, go, note] = ["view", "form", "camera", "go", "note"].map(byId);
let stream = null;
let peer = null;
let place = null;
let wanted = false; // the user pressed Start and not Stop
let lock = null;

function tell(text, bad = false) {
  note.textContent = text;
  note.classList.toggle("bad", bad);
}

const WHY = {
  NotAllowedError: "The browser does not let this page use the camera. Allow it in the browser's settings for this page.",
  NotFoundError: "This device has no camera.",
  NotReadableError: "The camera is in use by another program.",
  OverconstrainedError: "This camera is gone. Choose another one.",
};

async function state() {
  const answer = await fetch("state", { cache: "no-store", signal: AbortSignal.timeout(3000) });
  if (!answer.ok) throw new TypeError("no answer");
  return answer.json();
}

async function list() {
  const chosen = camera.value || stream?.getVideoTracks()[0]?.getSettings().deviceId;
  const found = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === "videoinput" && d.deviceId);
  if (!found.length) return;
  camera.replaceChildren(...found.map((d, i) => new Option(d.label || `camera ${i + 1}`, d.deviceId)));
  if (found.some((d) => d.deviceId === chosen)) camera.value = chosen;
}

async function openCamera(asked) {
  stream?.getTracks().forEach((track) => track.stop());
  const device = camera.value ? { deviceId: { exact: camera.value } } : { facingMode: "user" };
  const size = { width: { ideal: asked.width }, height: { ideal: asked.height }, frameRate: { ideal: asked.fps } };
  stream = await navigator.mediaDevices.getUserMedia({ video: { ...device, ...size } });
  const [track] = stream.getVideoTracks();
  track.contentHint = "motion";
  track.addEventListener("ended", () => stop("The camera was taken away."));
  view.srcObject = stream;
  view.style.transform = track.getSettings().facingMode === "environment" ? "none" : "";
  await list();
}

function gathered(connection) {
  if (connection.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((done) => {
    connection.addEventListener("icegatheringstatechange", () => connection.iceGatheringState === "complete" && done());
    setTimeout(done, 1000);
  });
}

async function send(asked) {
  const mine = (peer = new RTCPeerConnection());
  const { sender } = mine.addTransceiver(stream.getVideoTracks()[0], { direction: "sendonly", streams: [stream] });
  const parameters = sender.getParameters();
  parameters.degradationPreference = "balanced";
  parameters.encodings?.forEach((encoding) => {
    encoding.maxBitrate = asked.bitrate * 1000;
    encoding.maxFramerate = asked.fps;
  });
  await sender.setParameters(parameters).catch(() => {});
  mine.addEventListener("connectionstatechange", () => {
    if (mine !== peer) return;
    if (mine.connectionState === "connected") tell("Your camera is being sent.");
    if (["failed", "disconnected", "closed"].includes(mine.connectionState)) lost("The connection broke.");
  });
  await mine.setLocalDescription(await mine.createOffer());
  await gathered(mine);
  const answer = await fetch("whip", {
    method: "POST",
    headers: { "content-type": "application/sdp" },
    body: mine.localDescription.sdp,
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text || answer.statusText);
  place = answer.headers.get("location");
  await mine.setRemoteDescription({ type: "answer", sdp: text });
}

function hangUp() {
  if (place) fetch(place, { method: "DELETE", keepalive: true }).catch(() => {});
  const old = peer;
  peer = place = null;
  old?.close();
}

function lost(why) {
  hangUp();
  if (!wanted) return;
  tell(`${why} Trying again.`, true);
  setTimeout(resume, 1000);
}

async function resume() {
  if (!wanted || peer) return;
  try {
    const asked = await state();
    if (asked.sending) return stop("Another page sends its camera now.");
    await send(asked);
  } catch (error) {
    lost(error instanceof TypeError ? "doppelcam has stopped." : `${error.message}.`);
  }
}

async function start() {
  wanted = true;
  go.disabled = true;
  tell("Asking for the camera.");
  try {
    const asked = await state();
    await openCamera(asked);
    tell("Connecting.");
    go.textContent = "Stop";
    go.classList.add("off");
    lock = await navigator.wakeLock?.request("screen").catch(() => null); // else a phone sleeps, and its camera with it
    await send(asked);
  } catch (error) {
    if (stream && wanted && !(error.name in WHY)) lost(`${error.message}.`);
    else stop(error instanceof TypeError ? "doppelcam does not answer. Is it running?" : WHY[error.name] || error.message);
  }
  go.disabled = false;
}

function stop(why) {
  wanted = false;
  hangUp();
  stream?.getTracks().forEach((track) => track.stop());
  stream = view.srcObject = null;
  lock?.release();
  lock = null;
  go.textContent = "Start";
  go.classList.remove("off");
  tell(why || "Stopped. Nothing is sent.", Boolean(why));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  wanted ? stop() : start();
});
camera.addEventListener("change", () => {
  if (!wanted) return;
  hangUp();
  start();
});
addEventListener("pagehide", hangUp);
addEventListener("pageshow", (event) => event.persisted && location.reload());
document.addEventListener("visibilitychange", async () => {
  if (!document.hidden && wanted && !lock?.released) lock = await navigator.wakeLock?.request("screen").catch(() => null);
});
if (!navigator.mediaDevices) {
  go.disabled = true;
  tell("This page must be opened by https, or on the computer itself, to use a camera.", true);
} else {
  list();
}
