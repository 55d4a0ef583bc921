// Where images come from: files, the clipboard, the camera, a drop, the examples.

import { $ } from "./dom.js";

/** Call back with each image: a blob, and the name that its file has. */
export function onImage(read) {
  for (const id of ["file", "camera"]) {
    $(id).addEventListener("change", () => {
      const [file] = $(id).files;
      if (file) read(file, file.name);
      $(id).value = ""; // so that the same file can be chosen again
    });
  }
  $("examples").addEventListener("click", async (event) => {
    const name = event.target.closest("button")?.dataset.example;
    if (!name) return;
    const answer = await fetch(`/page/examples/${name}`).catch(() => null);
    read(answer?.ok ? await answer.blob() : null, name);
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (!file) return; // a text, which belongs into a field
    event.preventDefault();
    read(file, file.name || "pasted.png");
  });
  onDrop(read);
}

function onDrop(read) {
  let inside = 0; // elements that the pointer has entered and not left
  const show = (shown) => document.body.classList.toggle("dropping", shown);
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => {
    if (carriesFiles(event)) show(++inside > 0);
  });
  document.addEventListener("dragleave", (event) => {
    if (carriesFiles(event)) show(--inside > 0);
  });
  document.addEventListener("dragover", (event) => {
    if (carriesFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    inside = 0;
    show(false);
    const [file] = event.dataTransfer?.files ?? [];
    if (!file) return;
    event.preventDefault();
    read(file, file.name);
  });
}
