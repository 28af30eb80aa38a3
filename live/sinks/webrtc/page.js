// Watches doppelcam by WHEP; when it ends or the connection breaks, tries again every second.
const picture = document.getElementById("picture");
const note = document.getElementById("note");
let peer = null;
let place = null;

function tell(text) {
  note.textContent = text;
  note.hidden = !text;
  picture.hidden = Boolean(text);
}

function gathered(connection) {
  if (connection.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((done) => {
    connection.addEventListener("icegatheringstatechange", () => connection.iceGatheringState === "complete" && done());
    setTimeout(done, 1000);
  });
}

async function watch() {
  peer = new RTCPeerConnection();
  const mine = peer;
  const { receiver } = mine.addTransceiver("video", { direction: "recvonly" });
  // Show each picture at once: nothing here has sound that it would have to wait for.
  if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
  if ("playoutDelayHint" in receiver) receiver.playoutDelayHint = 0;
  mine.addEventListener("track", (event) => {
    picture.srcObject = new MediaStream([event.track]);
    picture.play().catch(() => {});
  });
  mine.addEventListener("connectionstatechange", () => {
    if (mine !== peer) return;
    if (mine.connectionState === "connected") tell("");
    if (["failed", "disconnected", "closed"].includes(mine.connectionState)) again("The connection broke.");
  });
  await mine.setLocalDescription(await mine.createOffer());
  await gathered(mine);
  const answer = await fetch("whep", {
    method: "POST",
    headers: { "content-type": "application/sdp" },
    body: mine.localDescription.sdp,
  });
  if (!answer.ok) throw new Error((await answer.text()) || answer.statusText);
  place = answer.headers.get("location");
  await mine.setRemoteDescription({ type: "answer", sdp: await answer.text() });
}

function again(why) {
  if (peer) peer.close();
  peer = place = null;
  tell(`${why} Trying again.`);
  setTimeout(start, 1000);
}

async function start() {
  try {
    await watch();
  } catch (error) {
    again(error instanceof TypeError ? "doppelcam has stopped." : `${error.message}.`);
  }
}

addEventListener("pagehide", () => {
  if (place) fetch(place, { method: "DELETE", keepalive: true }).catch(() => {});
  if (peer) peer.close();
});
addEventListener("pageshow", (event) => event.persisted && location.reload());
start();
