// Returns what of the page is hard to see: texts below 4.5:1, and what shows data in pictures below 3:1 (WCAG 2.2, 1.4.3, 1.4.11).
const TEXT = 4.5, PICTURE = 3;
// Areas behind the data, and cells that carry their numbers as texts.
const AREAS = ["band", "tolerance", "limit", "cell"];

const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const colours = new Map();
function colour(css) {  // [red, green, blue, opacity], whatever notation it is in
  if (!colours.has(css)) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = css;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, opacity] = canvas.getImageData(0, 0, 1, 1).data;
    colours.set(css, [red, green, blue, opacity / 255]);
  }
  return colours.get(css);
}
function over(front, back, opacity) {
  const share = front[3] * opacity;
  return [0, 1, 2].map((i) => front[i] * share + back[i] * (1 - share)).concat(1);
}
function luminance(rgb) {
  const [red, green, blue] = rgb.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
function ancestors(element) {  // from the outermost in
  const found = [];
  for (let at = element; at; at = at.parentElement) found.unshift(at);
  return found;
}
function opacity(element) {
  return ancestors(element).reduce((product, at) => product * Number(getComputedStyle(at).opacity), 1);
}
function background(element) {
  let back = colour(getComputedStyle(document.documentElement).backgroundColor);
  if (back[3] === 0) back = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
  for (const at of ancestors(element)) back = over(colour(getComputedStyle(at).backgroundColor), back, 1);
  return back;
}
function painted(shape, what) {  // a colour with its own opacity, or null
  const style = getComputedStyle(shape);
  return style[what] === "none" ? null : [colour(style[what]), Number(style[`${what}Opacity`]) * opacity(shape)];
}
function holds(shape, x, y) {
  const matrix = shape.getScreenCTM();
  return matrix && shape.isPointInFill(new DOMPoint(x, y).matrixTransform(matrix.inverse()));
}
function behindText(text) {  // the page, and what the picture has painted below the middle of the text
  const {x, y, width, height} = text.getBoundingClientRect();
  let back = background(text.ownerSVGElement);
  for (const shape of text.ownerSVGElement.querySelectorAll("path, rect, circle, polygon")) {
    if (shape.closest("defs, clipPath") || !(shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING)) continue;
    const fill = painted(shape, "fill");
    if (fill && holds(shape, x + width / 2, y + height / 2)) back = over(fill[0], back, fill[1]);
  }
  return back;
}
function drawn(shape) {  // the shape that a `use` refers to; what it says itself counts more
  return shape.localName === "use" ? document.querySelector(shape.getAttribute("href")) : shape;
}

const problems = new Map();
function tell(ratio, wanted, what) {
  if (ratio < wanted - 0.005) problems.set(what, ratio.toFixed(2));
}
for (const folded of document.querySelectorAll("details")) folded.open = true;
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
  if (!text || !element.checkVisibility() || element.closest("script, style, .unseen")) continue;
  const picture = element.ownerSVGElement;
  const [front, share] = picture ? painted(element, "fill") : [colour(getComputedStyle(element).color), opacity(element)];
  const back = picture ? behindText(element) : background(element);
  tell(contrast(over(front, back, share), back), TEXT, `text ${element.localName}.${element.className.baseVal ?? element.className} ${text.slice(0, 40)}`);
}
for (const group of document.querySelectorAll("svg [data-shows]")) {
  if (AREAS.includes(group.dataset.shows.split(" ")[0])) continue;
  const back = background(group.ownerSVGElement);
  for (const shape of group.matches("g") ? group.querySelectorAll("path, use, rect, circle") : [group]) {
    if (shape.closest("defs, clipPath")) continue;
    const paints = ["fill", "stroke"].map((what) => painted(shape, what) ?? painted(drawn(shape), what)).filter(Boolean);
    const ratio = Math.max(...paints.map(([front, share]) => contrast(over(front, back, share), back)));
    tell(ratio, PICTURE, `picture ${group.closest("figure")?.id} ${group.dataset.shows.split(" ")[0]} ${shape.getAttribute("stroke") ?? shape.getAttribute("fill")}`);
  }
}
return Array.from(problems, ([what, ratio]) => `${ratio}: ${what}`);
