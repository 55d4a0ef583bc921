// Pictures of rows: loaded before they are needed, and sized so that a digit can be read.

const MOST_TIMES = 5; // that a small picture is enlarged
const FEWEST_PIXELS = 20; // of a digit's width, below which the picture is scrolled instead

export function load(task, shown = {}) {
  if (!task.crop) {
    return Promise.resolve(null);
  }
  const image = new Image();
  image.decoding = "async";
  const wanted = ["whole", "clear"].filter((name) => shown[name]).map((name) => `${name}=1`);
  image.src = `/api/crops/${task.row}${wanted.length ? "?" : ""}${wanted.join("&")}`;
  image.alt = "";
  return image.decode().then(() => image, () => null);
}

// Returns how many pixels of the screen a picture of that size takes.
export function size(width, height, digits, room) {
  let scale = Math.min(room.width / width, room.height / height, MOST_TIMES);
  const widths = digits.map(([left, , right]) => (right - left) * width).sort((a, b) => a - b);
  const median = widths[widths.length >> 1];
  if (median > 0) {
    scale = Math.max(scale, Math.min(FEWEST_PIXELS / median, room.height / height, MOST_TIMES));
  }
  return { width: Math.max(width * scale, 48), height: Math.max(height * scale, 16) };
}
