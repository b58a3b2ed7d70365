// Line charts, drawn from the data that their figures hold. The pointer shows the values at a step, dragging enlarges a
// stretch, a double click brings the whole back. Colours are those of the page, so that they follow light and dark.
const WIDTH = 420, HEIGHT = 230, LEFT = 52, RIGHT = 10, TOP = 8, BOTTOM = 36;

function told(value) {
  const size = Math.abs(value);
  return size && (size >= 1e5 || size < 1e-3) ? value.toExponential(1) : String(Number(value.toPrecision(3)));
}

function add(parent, name, attributes, text = "") {
  const made = document.createElementNS(parent.namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  parent.append(made);
  return made;
}

function ticks(low, high, most) {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * (1 - 1e-9));
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

// powers of ten between two exponents, and twice and five times these where there is room
function decades(low, high, most) {
  const powers = Array.from({ length: Math.floor(high) - Math.floor(low) + 1 }, (_, index) => Math.floor(low) + index);
  const of = (factors) => powers.flatMap((power) => factors.map((factor) => power + Math.log10(factor))).filter((at) => at >= low && at <= high);
  return [[1, 2, 5], [1, 3], [1]].map(of).find((found) => found.length <= most) ?? ticks(low, high, most);
}

class Chart {
  constructor(figure) {
    this.data = JSON.parse(figure.querySelector("script").textContent);
    this.svg = figure.querySelector("svg");
    this.readout = figure.querySelector("output");
    const steps = this.data.series.flatMap((line) => line.x);
    this.whole = this.shown = [Math.min(...steps), Math.max(...steps)];
    this.svg.addEventListener("pointermove", (event) => this.draw(this.step(event)));
    this.svg.addEventListener("pointerleave", () => { this.from = undefined; this.draw(); });
    this.svg.addEventListener("pointerdown", (event) => { if (event.pointerType === "mouse") this.from = this.step(event); });
    this.svg.addEventListener("pointerup", (event) => this.enlarge(this.step(event)));
    this.svg.addEventListener("dblclick", () => { this.shown = this.whole; this.draw(); });
    this.draw();
  }

  // the step under the pointer
  step(event) {
    const box = this.svg.getBoundingClientRect();
    const share = (((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT);
    return this.shown[0] + Math.min(1, Math.max(0, share)) * (this.shown[1] - this.shown[0]);
  }

  enlarge(to) {
    const [low, high] = [Math.min(this.from, to), Math.max(this.from, to)];
    this.from = undefined;
    if (high - low > (this.shown[1] - this.shown[0]) / 50) this.shown = [low, high];
    this.draw(to);
  }

  x(step) { return LEFT + ((step - this.shown[0]) / (this.shown[1] - this.shown[0] || 1)) * (WIDTH - LEFT - RIGHT); }
  y(value) { return HEIGHT - BOTTOM - ((this.scaled(value) - this.low) / (this.high - this.low)) * (HEIGHT - TOP - BOTTOM); }
  scaled(value) { return this.data.log ? Math.log10(value) : value; }

  // the range of the values in the stretch that is shown
  fit() {
    const inside = (step) => step >= this.shown[0] && step <= this.shown[1];
    const values = this.data.series.flatMap((line) => [line.y, line.low ?? [], line.high ?? []].flatMap((of) => of.filter((_, i) => inside(line.x[i]))));
    const scaled = values.filter((value) => value !== null && (value > 0 || !this.data.log)).map((value) => this.scaled(value));
    const [low, high] = [Math.min(...scaled), Math.max(...scaled)];
    const air = 0.05 * (high - low) || Math.abs(high) * 0.1 || 1;
    this.low = this.data.log || !this.data.from_zero || low < 0 || low > 0.5 * high ? low - air : 0;
    this.high = high + air;
  }

  draw(at) {
    this.fit();
    this.svg.replaceChildren();
    this.axes();
    // a picture in the picture, whose edges cut off what lies outside the stretch
    const [width, height] = [WIDTH - LEFT - RIGHT, HEIGHT - BOTTOM];
    const lines = add(this.svg, "svg", { x: LEFT, y: 0, width, height, viewBox: `${LEFT} 0 ${width} ${height}` });
    for (const line of this.data.series) this.line(lines, line);
    if (this.from !== undefined && at !== undefined) {
      const [low, high] = [this.x(Math.min(this.from, at)), this.x(Math.max(this.from, at))];
      add(lines, "rect", { x: low, y: TOP, width: high - low, height: HEIGHT - TOP - BOTTOM, class: "stretch" });
    }
    this.point(lines, at);
  }

  axes() {
    const { svg } = this, floor = HEIGHT - BOTTOM;
    for (const value of (this.data.log ? decades : ticks)(this.low, this.high, 5)) {
      const real = this.data.log ? 10 ** value : value, height = this.y(real);
      add(svg, "line", { x1: LEFT, x2: WIDTH - RIGHT, y1: height, y2: height, class: "grid" });
      add(svg, "text", { x: LEFT - 6, y: height + 3.5, "text-anchor": "end" }, told(real));
    }
    for (const step of ticks(...this.shown, 6)) add(svg, "text", { x: this.x(step), y: floor + 15, "text-anchor": "middle" }, step >= 1e4 ? `${step / 1000}k` : told(step));
    add(svg, "line", { x1: LEFT, x2: WIDTH - RIGHT, y1: floor, y2: floor, class: "axis" });
    add(svg, "text", { x: (WIDTH + LEFT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, this.data.x_label);
  }

  line(group, line) {
    const known = line.x.map((step, i) => [step, i]).filter(([, i]) => line.y[i] !== null && (line.y[i] > 0 || !this.data.log));
    const path = (values, order) => order.map(([step, i]) => `${this.x(step)},${this.y(values[i])}`).join(" ");
    if (line.low && known.every(([, i]) => line.low[i] !== null)) {
      const points = `${path(line.low, known)} ${path(line.high, [...known].reverse())}`;
      add(group, "polygon", { points, class: `band ${line.colour}` });
    }
    add(group, "polyline", { points: path(line.y, known), class: `line ${line.colour}` });
    if (known.length <= 20) for (const [step, i] of known) add(group, "circle", { cx: this.x(step), cy: this.y(line.y[i]), r: 2.4, class: `dot ${line.colour}` });
  }

  // the values at the step nearest to the pointer
  point(group, at) {
    const steps = this.data.series[0].x;
    const nearest = at === undefined ? -1 : steps.reduce((best, step, i) => (Math.abs(step - at) < Math.abs(steps[best] - at) ? i : best), 0);
    this.readout.textContent = nearest < 0 ? "" : [`${this.data.x_label} ${told(steps[nearest])}`, ...this.data.series.map((line) => {
      const value = line.y[line.x.indexOf(steps[nearest])];
      return `${line.label} ${value == null ? "–" : told(value)}`;
    })].join(" · ");
    if (nearest >= 0) add(group, "line", { x1: this.x(steps[nearest]), x2: this.x(steps[nearest]), y1: TOP, y2: HEIGHT - BOTTOM, class: "axis" });
  }
}

for (const figure of document.querySelectorAll(".chart")) new Chart(figure);
