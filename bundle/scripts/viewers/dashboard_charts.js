// Line charts as SVG in the page's colours: a cursor for the mouse, for a finger and for the arrow keys.

const HEIGHT = 220;
const LEFT = 62, RIGHT = 10, TOP = 8, BOTTOM = 36;
const N_COLOURS = 6;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function svg(name, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function short(value) {
  if (value === null || value === undefined) return "-";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(1);
  return String(Number(value.toPrecision(4)));
}

function ticks(low, high, wanted, least = 0) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999));
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-6; value += step) {
    found.push(Math.abs(value) < step * 1e-6 ? 0 : value);
  }
  return found;
}

// One chart in a box of its own. `update` takes other numbers; its size stays.
class Chart {
  constructor(parent, title) {
    this.title = title;
    this.heading = element("h3", {}, title);
    this.legend = element("ul", { class: "legend" });
    this.svg = svg("svg", { height: HEIGHT, role: "img", tabindex: "0" });
    this.readout = element("p", { class: "readout", "aria-live": "polite" });
    this.box = element("div", {}, this.heading, this.legend, this.svg, this.readout);
    parent.append(this.box);
    this.cursor = null;
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerdown", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.move(null));
    this.svg.addEventListener("keydown", (event) => this.press(event));
    this.svg.addEventListener("blur", () => this.move(null));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  update({ x, xLabel, label, series, raw = [] }) {
    const said = JSON.stringify([x, xLabel, label, series]);
    if (said === this.said) return;
    Object.assign(this, { said, x, xLabel, label, series, raw });
    const names = Object.keys(series);
    if (JSON.stringify(names) !== this.names) {
      this.names = JSON.stringify(names);
      this.legend.replaceChildren(...names.map((name, n) => {
        const line = element("span", { "aria-hidden": "true" });
        line.style.background = `var(--series-${n % N_COLOURS})`;
        return element("li", {}, line, name);
      }));
    }
    this.draw();
  }

  // Scales from numbers to places; null where there is nothing to draw.
  scales() {
    const known = Object.values(this.series ?? {}).flat().filter((value) => value !== null);
    const width = this.svg.clientWidth;
    if (!known.length || !width) return null;
    let low = Infinity, high = -Infinity;
    for (const value of known) { low = Math.min(low, value); high = Math.max(high, value); }
    if (low >= 0 && low < 0.4 * high) low = 0;
    const margin = (high - low || Math.abs(high) || 1) * 0.05;
    if (low !== 0) low -= margin;
    high += margin;
    const first = this.x[0], last = this.x[this.x.length - 1];
    const span = last - first || 1;
    return {
      width, low, high, first, last,
      atX: (value) => LEFT + (last === first ? 0.5 : (value - first) / span) * (width - LEFT - RIGHT),
      atY: (value) => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM),
    };
  }

  draw() {
    const scale = this.scales();
    if (!scale) return;
    const { width, atX, atY } = scale;
    const parts = [];
    for (const value of ticks(scale.low, scale.high, 4)) {
      parts.push(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: atY(value), y2: atY(value) }));
      parts.push(svg("text", { x: LEFT - 6, y: atY(value) + 4, "text-anchor": "end" }, short(value)));
    }
    for (const value of ticks(scale.first, scale.last, Math.max(2, Math.floor(width / 90)), 1)) {
      parts.push(svg("text", { x: atX(value), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle" }, short(value)));
    }
    const middle = (LEFT + width - RIGHT) / 2;
    parts.push(svg("text", { x: middle, y: HEIGHT - 4, "text-anchor": "middle" }, this.xLabel));
    const across = (TOP + HEIGHT - BOTTOM) / 2;
    parts.push(svg("text", { "text-anchor": "middle", transform: `translate(11 ${across}) rotate(-90)` }, this.label));
    Object.entries(this.series).forEach(([name, values], n) => {
      const known = values.map((value, i) => [this.x[i], value]).filter((point) => point[1] !== null);
      const colour = `var(--series-${n % N_COLOURS})`;
      const points = known.map(([x, y]) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`).join(" ");
      const kind = `curve${this.raw.includes(name) ? " raw" : ""}${n >= N_COLOURS ? " dashed" : ""}`;
      parts.push(coloured(svg("polyline", { class: kind, points }), "stroke", colour));
      if (known.length > 40) return;
      for (const [x, y] of known) parts.push(coloured(svg("circle", { cx: atX(x), cy: atY(y), r: 3 }), "fill", colour));
    });
    this.mark = svg("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    this.svg.replaceChildren(...parts, this.mark);
    this.svg.setAttribute("aria-label", `${this.title}: ${this.values(this.x.length - 1)}`);
    this.move(this.cursor);
  }

  values(n) {
    const said = Object.entries(this.series).map(([name, values]) => `${name} ${short(values[n])}`);
    return `${this.xLabel} ${this.x[n]}: ${said.join(", ")}`;
  }

  point(event) {
    const scale = this.scales();
    if (!scale) return;
    const place = event.clientX - this.svg.getBoundingClientRect().left;
    let best = 0;
    this.x.forEach((value, n) => {
      if (Math.abs(scale.atX(value) - place) < Math.abs(scale.atX(this.x[best]) - place)) best = n;
    });
    this.move(best);
  }

  press(event) {
    const last = (this.x?.length ?? 0) - 1;
    const now = this.cursor ?? last;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last, Escape: null }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.move(to === null ? null : Math.min(Math.max(to, 0), last));
  }

  move(n) {
    const scale = this.scales();
    if (!scale || !this.mark) return;
    this.cursor = n === null ? null : Math.min(n, this.x.length - 1);
    this.readout.textContent = this.values(this.cursor ?? this.x.length - 1);
    this.mark.setAttribute("visibility", this.cursor === null ? "hidden" : "visible");
    if (this.cursor === null) return;
    this.mark.setAttribute("x1", scale.atX(this.x[this.cursor]));
    this.mark.setAttribute("x2", scale.atX(this.x[this.cursor]));
  }
}

function coloured(shape, property, colour) {
  shape.style[property] = colour; // an attribute knows no variables
  return shape;
}

// The loss of each step with its moving mean, which tells a trend from noise.
function stepSeries(steps) {
  const losses = steps.map(([, loss]) => loss);
  const reach = Math.max(1, Math.round(losses.length / 60));
  if (losses.length < 10) return { loss: losses };
  const sums = [0];
  for (const loss of losses) sums.push(sums[sums.length - 1] + loss);
  const mean = losses.map((_, n) => {
    const from = Math.max(0, n - reach), to = Math.min(losses.length, n + reach + 1);
    return (sums[to] - sums[from]) / (to - from);
  });
  return { "each step": losses, "moving mean": mean };
}
