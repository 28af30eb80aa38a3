// The picture is the stream itself; this only notices when doppelcam ends, and takes it up again when it is back.
const picture = document.getElementById("picture");
const note = document.getElementById("note");
let gone = false;

async function alive() {
  try {
    const answer = await fetch("alive", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    return answer.ok;
  } catch {
    return false;
  }
}

async function look() {
  const here = await alive();
  if (!here) {
    gone = true;
    picture.hidden = true;
    note.textContent = "doppelcam has stopped. This page waits for it.";
  } else if (gone) {
    gone = false;
    picture.src = `stream.mjpg?${Date.now()}`;
    picture.hidden = false;
  }
  note.hidden = here;
  setTimeout(look, 1000);
}

picture.addEventListener("error", () => { gone = true; });
look();
