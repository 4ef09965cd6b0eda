// What makes the page hard to use for some; an empty list is good.
const found = [];

const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) found.push(`it is ${root.scrollWidth} wide on a screen of ${root.clientWidth}`);

const channels = (color) => color.match(/[\d.]+/g).map(Number);
const luminance = (color) => {
  const [red, green, blue] = channels(color).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
const background = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (channels(color)[3] !== 0) return color;
  }
  return "rgb(255, 255, 255)";
};
for (const element of document.body.querySelectorAll("*")) {
  const text = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  if (!(text || element.matches("input, textarea, select")) || !element.checkVisibility() || element.matches(":disabled, option")) continue;
  const [light, dark] = [getComputedStyle(element).color, background(element)].map(luminance).sort((a, b) => b - a);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(1)} of "${element.textContent.slice(0, 30)}"`);
}

for (const control of document.querySelectorAll("input, select, textarea")) {
  if (control.checkVisibility() && !control.labels?.length) found.push(`no label: ${control.outerHTML}`);
}
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
if (new Set(ids).size < ids.length) found.push("an id is there twice");
if (document.querySelectorAll("h1").length !== 1) found.push("there is not one main heading");
return found;
