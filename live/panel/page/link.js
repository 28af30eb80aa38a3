// The way to doppelcam: requests, and a WebSocket that comes back by itself after doppelcam was started again.
export async function ask(method, path, body, type = "application/json") {
  const raw = body instanceof Blob;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": raw ? "application/octet-stream" : type },
      body: body === undefined ? undefined : raw ? body : JSON.stringify(body),
    });
  } catch {
    throw { message: "doppelcam does not answer.", hint: "Is it still running?" };
  }
  const said = await answer.json().catch(() => null);
  if (answer.status === 401) location.reload(); // the session is over: the page for signing in comes
  if (!answer.ok) throw said?.message ? said : { message: words(answer.status), hint: "" };
  return said;
}

function words(status) {
  return { 413: "That file is too large (16 MB at most).", 408: "That took too long." }[status] ?? `doppelcam refused this (${status}).`;
}

// told: {state(tree), picture(kind, blob), here(bool)}. Answers a function that says which pictures are wanted.
export function connect(told) {
  let socket, wanted = [];
  const send = (said) => { if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(said)); };

  function open() {
    const address = new URL("live", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { told.here(true); send({ watch: wanted }); };
    socket.onclose = () => { told.here(false); setTimeout(open, 1000); };
    socket.onmessage = async ({ data }) => {
      if (typeof data === "string") { told.state(JSON.parse(data)); return; }
      try {
        await told.picture(["after", "before"][new Uint8Array(data, 0, 1)[0]], new Blob([new Uint8Array(data, 1)], { type: "image/jpeg" }));
      } finally {
        send({ took: true });
      }
    };
  }
  open();
  return (kinds) => { wanted = kinds; send({ watch: wanted }); };
}
