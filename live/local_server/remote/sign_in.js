// Sends the password; with the right one there is a cookie, and the page behind this one comes.
const at = (id) => document.getElementById(id);

at("form").onsubmit = async (event) => {
  event.preventDefault();
  at("go").disabled = true;
  tell("", false);
  try {
    const answer = await fetch("sign-in", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ password: at("password").value }),
    });
    if (answer.ok) { location.replace("./"); return; }
    const said = await answer.json().catch(() => null);
    tell(said?.message ?? `doppelcam refused this (${answer.status})`, true);
    at("password").select();
  } catch {
    tell("doppelcam does not answer", true);
  } finally {
    at("go").disabled = false;
  }
};

function tell(words, bad) {
  at("told").textContent = words;
  at("told").classList.toggle("bad", bad);
}
