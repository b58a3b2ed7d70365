"use strict";
/* The page: shows moments, sends commands. A recording in the page takes the place of the server. */

const $ = id => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) name in element ? element[name] = value : element.setAttribute(name, value);
  element.append(...children.filter(child => child !== null));
  return element;
};
const short = (value, digits = 3) => value === null || value === undefined ? "–" : Math.abs(value) >= 1e4 || (value && Math.abs(value) < 1e-3) ? value.toExponential(1) : String(+value.toPrecision(digits));
const degrees = unit => unit.startsWith("rad");
const inUnit = (value, unit) => degrees(unit) ? (value * 180 / Math.PI).toFixed(unit === "rad" ? 1 : 0) + (unit === "rad" ? "°" : "°/s") : short(value) + (unit && unit !== "1" ? " " + unit : "");
const picture = (kind, content) => `data:image/${kind};base64,${content}`;
const colourOf = name => getComputedStyle(document.documentElement).getPropertyValue(name);
const words = name => name.replaceAll("_", " ");

let opening = null, moment = null, send = () => {}, live = true;
const history = { distance: [], error: [], decision: [] };
const LENGTH = 200;

// --------------------------------------------------------------------------------------------------------------------
// the moment on the page

const scene = new SceneView($("scene"), (geom, grip, point) => send({ do: "drag_goal", geom, grip, point }));
const parts = {};

function card(id, title, ...children) { $(id).replaceChildren(make("h2", { textContent: title }), ...children); }

function open(message) {
  opening = message;
  document.title = `${message.title} · worldmodel view`;
  $("title").textContent = message.title;
  if (message.viewpoint && scene.gl) scene.open(message); else $("stage").classList.add("flat");
  if (message.viewpoint && !scene.gl) notice("This browser has no WebGL 2, so there is no 3-D view; all else works.", true);
  const recorded = message.mode === "recording";
  const legend = [[recorded ? "recorded" : "simulated", "--real"], [recorded ? "" : "what the model imagines", "--model"], [recorded ? "" : "goal", "--goal"]];
  $("legend").replaceChildren(...legend.filter(([text]) => text).map(([text, of]) => make("span", { textContent: text, style: `--of: var(${of})` })));
  $("hint").textContent = "drag to turn · scroll to zoom" + (message.positions.length && live ? " · drag the green goal to move it" : "");
  bar(); pictures(); plots(); sliders(); goals(); planning();
  $("states").replaceChildren(); $("constants").replaceChildren();
  parts.states = parts.constants = null;
  $("notes").replaceChildren(...message.notes.map(text => make("p", { textContent: text })));
  if (!live) for (const control of document.querySelectorAll("main input, main button, main select")) control.disabled = true;
}

function pictures() {
  const shown = (name, caption, kind = "") => {
    parts[name] = make("img", { alt: caption });
    return make("figure", { className: kind, hidden: true }, parts[name], make("figcaption", { textContent: caption }));
  };
  parts.latent = make("div", { className: "latent", title: "the latent: one cell a number, orange above 0, blue below" });
  card("seen", "What it sees", make("div", { className: "pictures" }, shown("frame", "camera"), shown("reconstruction", "its latent, decoded", "smooth"), shown("goal", "goal", "goal")), make("p", { className: "figure", style: "margin-top: 8px" }, "latent"), parts.latent);
  parts.decoded = make("img", { alt: "the future as the model imagines it" });
  parts.actual = make("img", { alt: "the simulated or recorded future" });
  parts.ticks = make("div", { className: "ticks" });
  parts.off = make("p", { className: "figure" });
  const recorded = opening.mode === "recording";
  parts.future = [make("span", { className: "model", textContent: "imagined" }), parts.decoded];
  card("future", recorded ? "What comes next" : "If it follows this plan", make("div", { className: "strip" }, ...parts.future, make("span", { className: "real", textContent: recorded ? "recorded" : "simulated" }), parts.actual, parts.ticks), parts.off);
  $("future").hidden = true;
}

function plots() {
  const plot = (name, title) => {
    parts[name] = make("canvas"); parts[name + "_value"] = make("b");
    return make("div", { className: "plot" }, make("p", {}, title, parts[name + "_value"]), parts[name]);
  };
  const planned = opening.planners.length > 0;
  card("curves", planned ? "Plan" : "Prediction", ...(planned ? [plot("distance", "latent distance to the goal"), plot("costs", "cost of each candidate, lowest first")] : []), plot("error", "error of imagined latents, as a share of how far they move"));
}

function shown(next) {
  moment = next;
  for (const [name, kind] of [["frame", "png"], ["reconstruction", "jpeg"], ["goal", "png"]]) {
    parts[name].parentNode.hidden = !next[name];
    if (next[name]) parts[name].src = picture(kind, next[name]);
  }
  const top = Math.max(1e-6, ...next.latent.map(Math.abs));
  parts.latent.hidden = parts.latent.previousSibling.hidden = !next.latent.length;
  parts.latent.replaceChildren(...next.latent.map(v => make("span", { title: short(v), style: `background: color-mix(in srgb, var(${v > 0 ? "--model" : "--real"}) ${Math.round(100 * Math.abs(v) / top)}%, var(--track))` })));
  future(next.imagined);
  remember("distance", next.distance); remember("error", next.imagined && next.imagined.error);
  curve("distance", history.distance, "--real", short(next.distance));
  curve("error", history.error, "--model", next.imagined && next.imagined.error !== null ? Math.round(100 * next.imagined.error) + " %" : "–");
  curve("costs", next.costs, "--soft", next.costs.length ? `${short(next.costs[0])} to ${short(next.costs.at(-1))}, plan ${short(next.plan_cost)}` : "–", true);
  states(next.states); constants(next.constants); follow(next); chips(next);
  if (opening.viewpoint && scene.gl) scene.show(next, [
    { solids: next.goal_solids, colour: [.1, .65, .4, .45] },
    { solids: next.imagined_solids, colour: [.95, .51, .09, .35] },
  ]);
}

function future(imagined) {
  $("future").hidden = !imagined;
  if (!imagined) return;
  for (const part of parts.future) part.hidden = !imagined.decoded;
  if (imagined.decoded) parts.decoded.src = picture("jpeg", imagined.decoded);
  if (imagined.actual) parts.actual.src = picture("jpeg", imagined.actual);
  parts.ticks.replaceChildren(...imagined.steps.map(step => make("span", { textContent: `+${short(step * opening.control_dt_s)} s` })));
  const off = imagined.error_mm === null ? "" : `After ${imagined.steps.at(-1)} steps the imagined body is ${short(imagined.error_mm)} mm from where the simulator puts it.`;
  parts.off.textContent = off;
}

function remember(name, value) {
  history[name].push(value ?? null);
  if (history[name].length > LENGTH) history[name].shift();
}

function curve(name, values, colour, text, bars = false) {
  const canvas = parts[name];
  if (!canvas) return;
  parts[name + "_value"].textContent = text;
  const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio)) { canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio); }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0); pen.clearRect(0, 0, w, h);
  const known = values.filter(v => v !== null);
  if (!known.length) return;
  const high = Math.max(...known), least = Math.min(...known), low = bars ? least - .15 * (high - least || 1) : Math.min(0, least), y = v => h - 3 - (h - 8) * (v - low) / (high - low || 1);
  pen.strokeStyle = colourOf("--line"); pen.beginPath(); pen.moveTo(0, y(0)); pen.lineTo(w, y(0)); pen.stroke();
  pen.fillStyle = pen.strokeStyle = colourOf(colour);
  if (bars) return values.forEach((v, k) => pen.fillRect(k * w / values.length, y(v), Math.max(1, w / values.length - 1), h - 3 - y(v)));
  pen.lineWidth = 2; pen.beginPath();
  values.forEach((v, k) => v !== null && pen[k && values[k - 1] !== null ? "lineTo" : "moveTo"](k * w / (LENGTH - 1), y(v)));
  pen.stroke();
}

function rows(id, title, readings, explain) {
  if (!readings.length) return null;
  if (!parts[id]) {
    parts[id] = readings.map(reading => {
      const track = make("div", { className: "track" }), value = make("span", { className: "value" });
      return { track, value, element: make("div", { className: "row", "data-name": reading.name }, make("span", { className: "name", textContent: words(reading.name) }), track, value), low: Infinity, high: -Infinity };
    });
    card(id, title, ...parts[id].map(row => row.element), explain);
  }
  return parts[id];
}

const mark = (kind, at) => make("i", { className: kind, style: `left: ${100 * Math.min(1, Math.max(0, at))}%` });

function states(readings) {
  const explain = make("p", { className: "figure" }, make("span", {}, make("span", { className: "model", textContent: "read from the latent" }), " beside ", make("span", { className: "real", textContent: "the truth" })));
  const shownRows = rows("states", "State", readings, explain);
  readings.forEach((reading, k) => {
    const row = shownRows[k], values = [reading.truth, reading.read].filter(v => v !== null);
    row.low = Math.min(row.low, ...values); row.high = Math.max(row.high, ...values);
    const at = v => (v - row.low) / (row.high - row.low || 1);
    row.track.replaceChildren(mark("truth", at(reading.truth)), ...(reading.read === null ? [] : [mark("read", at(reading.read))]));
    const read = reading.read === null ? null : make("span", { className: "model", textContent: inUnit(reading.read, reading.unit) });
    row.value.replaceChildren(...(read ? [read, " · "] : []), make("span", { className: "real", textContent: inUnit(reading.truth, reading.unit) }));
    row.element.title = reading.error === null ? "" : `root mean square error ${inUnit(reading.error, reading.unit)} on held-out episodes`;
  });
}

function constants(readings) {
  const explain = make("p", { className: "figure" }, make("span", {}, make("span", { className: "model", textContent: "estimate and 95 % interval" }), " beside ", make("span", { className: "real", textContent: "the truth" }), "; pale while the window still holds steps from before a change"));
  const shownRows = rows("constants", "Constants", readings, explain);
  readings.forEach((reading, k) => {
    const row = shownRows[k], factor = opening.factors.find(of => of.name === reading.name), at = v => position(factor, v);
    const known = reading.estimate !== null;
    const band = known && make("i", { className: reading.settled ? "band" : "band unsettled", style: `left: ${100 * at(reading.low)}%; right: ${100 - 100 * at(reading.high)}%` });
    row.track.replaceChildren(...(known ? [band, mark("read", at(reading.estimate))] : []), mark("truth", at(reading.truth)));
    row.value.replaceChildren(make("span", { className: "model", textContent: known ? short(reading.estimate) : "not yet" }), " · ", make("span", { className: "real", textContent: inUnit(reading.truth, reading.unit) }));
    row.element.title = known ? `95 %: ${short(reading.low)} to ${short(reading.high)} ${reading.unit}` : "too few steps seen yet";
  });
}

function chips(next) {
  const list = [];
  if (opening.mode === "live") {
    const goal = opening.goals.length && next.driver === "model";
    if (goal) list.push(["goals reached", `${next.goals_reached} of ${next.goals_reached + next.goals_given_up}`, next.reached]);
    if (next.decision_ms !== null && next.driver === "model") list.push(["decision", `${short(next.decision_ms, 2)} ms`]);
  } else list.push(["episode", `${next.episode + 1} of ${opening.episode_lengths.length}`], ["frame", `${next.frame_number + 1} of ${opening.episode_lengths[next.episode]}`]);
  if (opening.mode === "live" && next.episode > 1) list.push(["episode", next.episode]);
  list.push(["step", next.step]);
  if (rate) list.push(["steps a second", short(rate, 2)]);
  $("chips").replaceChildren(...list.map(([label, value, reached]) => make("span", { className: reached ? "chip reached" : "chip" }, `${label} `, make("b", { textContent: value }))));
}

// --------------------------------------------------------------------------------------------------------------------
// controls, which send commands

const position = (factor, value) => factor.logarithmic ? Math.log(value / factor.low) / Math.log(factor.high / factor.low) : (value - factor.low) / (factor.high - factor.low);
const valueAt = (factor, t) => Math.min(factor.high, Math.max(factor.low, factor.logarithmic ? factor.low * (factor.high / factor.low) ** t : factor.low + t * (factor.high - factor.low)));
const button = (text, command, properties = {}) => make("button", { textContent: text, onclick: () => send(command()), ...properties });

function bar() {
  const play = parts.play = button("Pause", () => ({ do: "play", on: !moment.playing }), { className: "main", id: "play", title: "key: space" });
  if (!live) return; // the recording's own bar is made by replay()
  const items = [play, button("Step", () => ({ do: "step" }), { id: "step", title: "key: s" })];
  if (opening.mode === "live") {
    items.push(button("Reset", () => ({ do: "reset" }), { id: "reset", title: "key: r" }));
    if (opening.goals.length) items.push(button("New goal", () => ({ do: "pick_goal" }), { id: "new-goal", title: "key: g" }), make("label", { className: "check" }, make("input", { type: "checkbox", checked: true, id: "keep-going", onchange: event => send({ do: "keep_going", on: event.target.checked }) }), "go on to the next goal"));
  } else items.push(make("label", { className: "check" }, "episode", make("input", { type: "number", id: "episode", min: 1, max: opening.episode_lengths.length, value: 1, onchange: event => send({ do: "seek", episode: event.target.value - 1 }) })), make("input", { type: "range", id: "timeline", min: 0, max: opening.episode_lengths[0] - 1, value: 0, style: "flex: 1 1 200px; width: auto", "aria-label": "frame", oninput: event => send({ do: "seek", episode: moment.episode, frame: +event.target.value }) }));
  const paces = [1, 2, 5, 10, 25, 50].filter(pace => pace <= Math.max(25, 1 / opening.control_dt_s));
  items.push(make("label", { className: "check" }, "at most", make("select", { id: "pace", onchange: event => send({ do: "pace", steps_per_s: +event.target.value }) }, ...paces.map(pace => make("option", { value: pace, textContent: `${pace} steps/s`, selected: pace === 25 })))));
  items.push(make("a", { href: "replay.html", download: "worldmodel-view.html", className: "button", id: "save", textContent: "Save replay" }));
  $("bar").replaceChildren(...items);
}

function sliders() {
  parts.factors = {};
  for (const [id, kind, title] of [["physical", "physical", "Physics"], ["visual", "visual", "Looks"]]) {
    const chosen = opening.factors.filter(of => of.kind === kind);
    if (!chosen.length) { $(id).replaceChildren(); continue; }
    card(id, title, ...chosen.map(factor => {
      const value = make("span", { className: "value" });
      const input = make("input", { type: "range", min: 0, max: 1000, "aria-label": words(factor.name), "data-factor": factor.name, oninput: event => {
        const wanted = valueAt(factor, event.target.value / 1000);
        value.textContent = inUnit(wanted, factor.unit);
        later(factor.name, { do: "set_factor", name: factor.name, value: wanted });
      }, ondblclick: () => send({ do: "set_factor", name: factor.name, value: factor.nominal }) });
      parts.factors[factor.name] = { input, value, factor };
      return make("div", { className: "row", title: `${factor.description || words(factor.name)} (double-click: ${short(factor.nominal)} ${factor.unit})` }, make("span", { className: "name", textContent: words(factor.name) }), input, value);
    }));
  }
}

function goals() {
  parts.positions = {};
  if (!opening.goals.length) return $("goal").replaceChildren();
  const recorded = opening.goals.map((content, number) => button("", () => ({ do: "pick_goal", number }), { title: `goal ${number + 1}`, "aria-label": `goal ${number + 1}` }));
  recorded.forEach((item, number) => item.append(make("img", { src: picture("png", opening.goals[number]), alt: "" })));
  card("goal", "Goal", make("div", { className: "goals" }, ...recorded), ...opening.positions.map(of => {
    const value = make("span", { className: "value" });
    const input = make("input", { type: "range", min: of.low, max: of.high, step: (of.high - of.low) / 500, "aria-label": `goal: ${words(of.name)}`, "data-position": of.name, oninput: event => {
      const wanted = Math.min(of.high, Math.max(of.low, +event.target.value));
      value.textContent = inUnit(wanted, of.unit);
      later("goal " + of.name, { do: "pose_goal", positions: { [of.name]: wanted } });
    } });
    parts.positions[of.name] = { input, value, of };
    return make("div", { className: "row" }, make("span", { className: "name", textContent: words(of.name) }), input, value);
  }));
}

function planning() {
  if (!opening.drivers.length) return $("planning").replaceChildren();
  const driver = make("select", { id: "driver", onchange: event => send({ do: "driver", driver: event.target.value }) }, ...opening.drivers.map(name => make("option", { value: name, textContent: name })));
  const fields = [make("label", {}, "driver", driver)];
  parts.planner = null;
  if (opening.planners.length) {
    const change = () => {
      const number = input => input.disabled ? null : +input.value, p = parts.planner;
      send({ do: "planner", name: p.name.value, horizon: +p.horizon.value, num_samples: number(p.num_samples), num_iterations: number(p.num_iterations) });
    };
    const number = () => make("input", { type: "number", min: 1, onchange: change });
    parts.planner = { name: make("select", { id: "planner", onchange: change }, ...opening.planners.map(name => make("option", { value: name, textContent: name }))), horizon: number(), num_samples: number(), num_iterations: number() };
    const labels = { name: "planner", horizon: "steps ahead", num_samples: "candidates", num_iterations: "iterations" };
    fields.push(...Object.entries(labels).map(([key, text]) => make("label", {}, text, parts.planner[key])));
  }
  parts.driver = driver;
  card("planning", "Planner and budget", make("div", { className: "fields" }, ...fields));
}

/* Set every control that is not in use to the session's value. */
function follow(next) {
  const free = element => document.activeElement !== element;
  if (parts.play) parts.play.textContent = next.playing ? "Pause" : "Play";
  for (const { input, value, factor } of Object.values(parts.factors)) {
    if (!(factor.name in next.factors) || waiting.has(factor.name) || input.matches(":active")) continue;
    input.value = 1000 * position(factor, next.factors[factor.name]);
    value.textContent = inUnit(next.factors[factor.name], factor.unit);
  }
  for (const { input, value, of } of Object.values(parts.positions || {})) {
    if (waiting.has("goal " + of.name) || input.matches(":active")) continue;
    input.value = next.goal_positions[of.name];
    value.textContent = inUnit(next.goal_positions[of.name], of.unit);
  }
  if (parts.driver && free(parts.driver)) parts.driver.value = next.driver;
  if (parts.planner && next.planner) for (const [key, input] of Object.entries(parts.planner)) {
    const value = next.planner[key];
    if (free(input)) { input.value = value ?? ""; input.disabled = !live || value === null; }
  }
  if (opening.mode === "recording" && live) {
    const line = $("timeline"), episode = $("episode");
    line.max = opening.episode_lengths[next.episode] - 1;
    if (!line.matches(":active")) line.value = next.frame_number;
    if (free(episode)) episode.value = next.episode + 1;
  }
}

/* A slider that is dragged sends at most sixteen commands a second, the last one in any case. */
const waiting = new Map();
function later(key, command) {
  const first = !waiting.has(key);
  waiting.set(key, command);
  if (first) setTimeout(() => { const last = waiting.get(key); waiting.delete(key); send(last); }, 60);
}

function notice(text, error = false) {
  const line = make("div", { className: error ? "notice error" : "notice", textContent: text });
  $("notices").append(line);
  while ($("notices").children.length > 4) $("notices").firstChild.remove();
  setTimeout(() => line.remove(), 8000);
}

// --------------------------------------------------------------------------------------------------------------------
// moments from the server, or from the recording in the page

let rate = 0, counted = null;
function measure(next) {
  const now = performance.now();
  if (!counted) counted = { now, step: next.step };
  if (now - counted.now > 1000) { rate = 1000 * (next.step - counted.step) / (now - counted.now); counted = { now, step: next.step }; }
}

function connect() {
  const socket = new WebSocket(location.href.replace(/^http/, "ws").replace(/[^/]*$/, "session"));
  let drawn = true;
  socket.onmessage = event => {
    const message = JSON.parse(event.data);
    if (message.kind === "opening") { open(message); $("status").textContent = `${message.world} · served on this machine only`; }
    else if (message.kind === "notice") notice(message.text, message.error);
    else {
      measure(message);
      const idle = drawn;
      moment = message; drawn = false;
      if (idle) requestAnimationFrame(() => { drawn = true; shown(moment); });
    }
    if (message.kind === "moment") socket.send("");
  };
  socket.onopen = () => { send = command => socket.readyState === 1 && socket.send(JSON.stringify(command)); };
  socket.onclose = () => {
    $("status").textContent = "disconnected: the view was stopped, or is restarting";
    send = () => {};
    setTimeout(connect, 2000);
  };
}

async function replay(text) {
  live = false; scene.onPull = null;
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const plain = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const [first, ...moments] = plain.trim().split("\n").map(line => JSON.parse(line));
  open(first);
  $("status").textContent = `${first.world} · a recording of ${moments.length} steps`;
  let at = 0, playing = true, speed = 1, due = 0;
  const line = make("input", { type: "range", min: 0, max: moments.length - 1, value: 0, id: "timeline", "aria-label": "step of the recording", style: "flex: 1 1 200px; width: auto", oninput: event => { go(+event.target.value); playing = false; play.textContent = "Play"; } });
  const play = make("button", { className: "main", id: "play", textContent: "Pause", onclick: () => { playing = !playing; play.textContent = playing ? "Pause" : "Play"; } });
  const pace = make("select", { id: "pace", "aria-label": "speed", onchange: event => { speed = +event.target.value; } }, ...[.25, .5, 1, 2].map(s => make("option", { value: s, textContent: `${s} ×`, selected: s === 1 })));
  const go = step => { at = step; line.value = at; shown(moments[at]); };
  parts.play = null;
  $("bar").replaceChildren(play, line, pace);
  go(0);
  const period = 1000 * Math.max(first.control_dt_s, .04);
  requestAnimationFrame(function tick(now) {
    if (playing && now >= due) { due = now + period / speed; go((at + 1) % moments.length); }
    requestAnimationFrame(tick);
  });
}

/* Keys press the buttons of the bar, unless the focus is on a control that needs them. */
const KEYS = { " ": "play", s: "step", r: "reset", g: "new-goal" };
addEventListener("keydown", event => {
  const pressed = KEYS[event.key] && $(KEYS[event.key]), taken = event.key === " " ? "input, select, button, a" : "input, select";
  if (!pressed || event.ctrlKey || event.metaKey || event.altKey || event.target.closest(taken)) return;
  event.preventDefault();
  pressed.click();
});

const recording = $("recording").textContent.trim();
recording ? replay(recording) : connect();
addEventListener("resize", () => moment && shown(moment));
