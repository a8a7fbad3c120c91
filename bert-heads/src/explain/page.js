"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const values = Uint8Array.from(atob(data.attention), (c) => c.charCodeAt(0));
const { tokens, layers, heads } = data;
const size = tokens.length;
const get = (id) => document.getElementById(id);
const [layer, head, cell, matrix, overview] = ["layer", "head", "cell", "matrix", "overview"].map(get);
const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Probability of one head, or the mean of all heads of a layer where `h` is `heads`.
function probability(l, h, from, to) {
  if (h < heads) return values[((l * heads + h) * size + from) * size + to] / 255;
  let sum = 0;
  for (let i = 0; i < heads; i++) sum += probability(l, i, from, to);
  return sum / heads;
}

function prepare(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.width = width + "px";
  canvas.style.height = height + "px";
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return context;
}

const edge = Math.max(4, Math.min(22, Math.floor(640 / size)));
const letters = edge >= 9;
let margin = 4;

function drawMatrix() {
  const font = Math.min(13, edge - 1) + "px system-ui, sans-serif";
  let context = matrix.getContext("2d");
  context.font = font;
  margin = letters ? Math.min(140, 10 + Math.max(...tokens.map((t) => context.measureText(t).width))) : 4;
  context = prepare(matrix, margin + edge * size + 2, margin + edge * size + 2);
  context.font = font;
  context.fillStyle = colour("--card");
  context.fillRect(margin, margin, edge * size, edge * size);
  const ink = colour("--for").split(" ").join(",");
  const [l, h] = [Number(layer.value), Number(head.value)];
  for (let from = 0; from < size; from++) {
    for (let to = 0; to < size; to++) {
      context.fillStyle = `rgba(${ink},${probability(l, h, from, to)})`;
      context.fillRect(margin + to * edge, margin + from * edge, edge, edge);
    }
  }
  context.strokeStyle = colour("--line");
  context.strokeRect(margin, margin, edge * size, edge * size);
  if (!letters) return;
  context.fillStyle = colour("--text");
  context.textBaseline = "middle";
  for (let i = 0; i < size; i++) {
    context.textAlign = "right";
    context.fillText(tokens[i], margin - 5, margin + (i + 0.5) * edge, margin - 6);
    context.save();
    context.translate(margin + (i + 0.5) * edge, margin - 5);
    context.rotate(-Math.PI / 2);
    context.textAlign = "left";
    context.fillText(tokens[i], 0, 0, margin - 6);
    context.restore();
  }
}

const thumb = Math.max(20, Math.min(46, Math.floor(400 / Math.max(heads, 1))));
const gap = 3;

function drawOverview() {
  const context = prepare(overview, heads * (thumb + gap), layers * (thumb + gap));
  const ink = colour("--for").split(" ").join(",");
  // Beyond one token a pixel every so many are shown.
  const shown = Math.min(size, thumb);
  const step = thumb / shown;
  for (let l = 0; l < layers; l++) {
    for (let h = 0; h < heads; h++) {
      const [left, top] = [h * (thumb + gap), l * (thumb + gap)];
      context.fillStyle = colour("--card");
      context.fillRect(left, top, thumb, thumb);
      for (let i = 0; i < shown; i++) {
        for (let j = 0; j < shown; j++) {
          const [from, to] = [Math.floor((i * size) / shown), Math.floor((j * size) / shown)];
          context.fillStyle = `rgba(${ink},${probability(l, h, from, to)})`;
          context.fillRect(left + j * step, top + i * step, step, step);
        }
      }
      const chosen = l === Number(layer.value) && [h, heads].includes(Number(head.value));
      context.strokeStyle = colour(chosen ? "--text" : "--line");
      context.lineWidth = chosen ? 2 : 1;
      context.strokeRect(left + 0.5, top + 0.5, thumb - 1, thumb - 1);
    }
  }
}

function draw() {
  cell.textContent = "";
  drawMatrix();
  drawOverview();
}

for (let l = 0; l < layers; l++) layer.add(new Option(l + 1, l));
head.add(new Option("mean of all", heads));
for (let h = 0; h < heads; h++) head.add(new Option(h + 1, h));
layer.value = layers - 1;
layer.onchange = head.onchange = draw;
get("choice").onsubmit = (event) => event.preventDefault();
dark.addEventListener("change", draw);
matrix.onmousemove = (event) => {
  const at = (offset) => Math.floor((offset - margin) / edge);
  const [to, from] = [at(event.offsetX), at(event.offsetY)];
  const inside = from >= 0 && to >= 0 && from < size && to < size;
  const share = inside ? probability(Number(layer.value), Number(head.value), from, to) : 0;
  cell.textContent = inside ? `${tokens[from]} → ${tokens[to]}: ${share.toFixed(3)}` : "";
};
overview.onclick = (event) => {
  const at = (offset, count) => Math.min(count - 1, Math.floor(offset / (thumb + gap)));
  layer.value = at(event.offsetY, layers);
  head.value = at(event.offsetX, heads);
  draw();
};
draw();
