// The gallery: choosing a face, what allows it, adding one by a photo with the questions of consent.
import { ask } from "./link.js";
import { at, complain, make, twice } from "./make.js";

const WORDS = { synthetic: "synthetic", self: "you", consented: "consented", unverified: "no consent known" };

export class Faces {
  #act; #reload; #tell; #buttons = new Map(); #photo = null;

  constructor(act, reload, tell) {
    [this.#act, this.#reload, this.#tell] = [act, reload, tell];
    at("file").onchange = () => { if (at("file").files[0]) this.#drop(at("file").files[0]); at("file").value = ""; };
    for (const kind of ["dragover", "dragleave", "drop"]) {
      document.addEventListener(kind, (event) => {
        event.preventDefault();
        at("drop").classList.toggle("over", kind === "dragover");
        if (kind === "drop" && event.dataTransfer.files[0]) this.#drop(event.dataTransfer.files[0]);
      });
    }
    at("keep-form").onchange = () => { at("keep-consent").hidden = this.#how() !== "consented"; };
    at("keep-form").onsubmit = (event) => {
      if (event.submitter?.value === "no") return;
      event.preventDefault();
      this.#keep();
    };
  }

  offer(faces) {
    this.#buttons.clear();
    at("gallery").replaceChildren(...faces.map((face) => this.#card(face)));
  }

  show(state) {
    for (const [id, button] of this.#buttons) button.setAttribute("aria-pressed", id === state.face);
  }

  #card(face) {
    const picture = face.picture
      ? make("img", { src: `face.jpg?face=${encodeURIComponent(face.id)}`, alt: "", loading: "lazy", width: 96, height: 96 })
      : make("span", { className: "letter", "aria-hidden": "true" }, face.name.slice(0, 1).toUpperCase());
    const allowed = make("small", { className: `tag ${face.disclosure}` }, WORDS[face.disclosure]);
    const end = face.why_not || (face.until ? `until ${face.until}` : face.what);
    const soon = !face.why_not && face.days !== null && face.days < 31;
    const button = make(
      "button", { className: "face", disabled: Boolean(face.why_not), "aria-pressed": "false", title: face.how },
      picture, make("strong", {}, face.name), allowed,
      make("small", { className: face.why_not || soon ? "end soon" : "end" }, end),
    );
    button.onclick = () => this.#act("POST", "wear", { face: face.id });
    this.#buttons.set(face.id, button);
    const item = make("li", {}, button);
    if (face.removable) {
      const remove = make("button", { className: "remove", "aria-label": `Remove ${face.name}`, title: "Remove" }, "×");
      twice(remove, "Delete?", async () => {
        await this.#act("POST", "faces/remove", { face: face.id });
        this.#reload();
      });
      item.append(remove);
    }
    return item;
  }

  async #drop(file) {
    this.#tell(null);
    at("drop").classList.add("busy");
    try {
      this.#photo = await ask("POST", `photo?name=${encodeURIComponent(file.name)}`, file);
    } catch (error) {
      this.#tell(error);
      return;
    } finally {
      at("drop").classList.remove("busy");
    }
    const picture = await createImageBitmap(file);
    const side = Math.min(picture.width, picture.height), canvas = at("keep-picture");
    canvas.getContext("2d").drawImage(picture, (picture.width - side) / 2, (picture.height - side) / 4, side, side, 0, 0, canvas.width, canvas.height);
    picture.close();
    at("keep-form").reset();
    at("keep-consent").hidden = true;
    at("keep-name").value = this.#photo.name;
    complain(at("keep-trouble"), null);
    at("keep").showModal();
  }

  #how() {
    return new FormData(at("keep-form")).get("how") ?? "";
  }

  async #keep() {
    const how = this.#how();
    if (!how) {
      complain(at("keep-trouble"), { message: "Who allows you to wear this face?", hint: "Choose one of the four." });
      return;
    }
    const file = at("consent").files[0];
    at("keep-go").disabled = true;
    at("keep-go").textContent = how === "self" ? "Look into your camera" : "Keeping";
    try {
      await ask("POST", "faces", {
        photo: this.#photo.photo, name: at("keep-name").value, how, until: at("until").value,
        consent: how === "consented" && file ? await file.text() : "",
      });
      at("keep").close();
      this.#reload();
    } catch (error) {
      complain(at("keep-trouble"), error);
    } finally {
      at("keep-go").disabled = false;
      at("keep-go").textContent = "Keep this face";
    }
  }
}
