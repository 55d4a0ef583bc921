// Elements from text alone: nothing that comes from an image, a file or a server is put in as HTML.

export const $ = (id) => document.getElementById(id);

/** Return a new element with a class and children, which are elements or texts. */
export function el(name, className = "", ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return made;
}

/** Return a new element of a drawing, with its attributes. */
export function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/** Return a color that the style sheet names. */
export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Size a canvas in CSS pixels, sharp on this screen; return its context, scaled alike. */
export function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return context;
}
