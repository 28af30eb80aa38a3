// Makes elements: make("li", { className: "face" }, "text", child). Text is always text, never markup.
export const at = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

// One line of trouble with what to do about it, or nothing.
export function complain(element, trouble) {
  element.hidden = !trouble;
  element.replaceChildren(...(trouble ? [trouble.message, trouble.hint ? make("small", {}, trouble.hint) : ""] : []));
}

// A button that asks back in its own place before it acts. (The browser's own question would keep Esc from covering.)
export function twice(button, words, act) {
  const plain = button.textContent;
  const calm = () => { button.textContent = plain; button.classList.remove("sure"); };
  button.onclick = () => {
    if (button.classList.contains("sure")) { calm(); act(); return; }
    button.textContent = words;
    button.classList.add("sure");
  };
  button.onblur = calm;
}
