"use strict";
/* The 3-D view: MuJoCo's primitives and meshes, lit, with see-through ghosts and paths; WebGL 2 and nothing else. */

const VERTEX = `#version 300 es
in vec3 position; in vec3 normal;
uniform mat4 view, project; uniform mat3 turn; uniform vec3 place, scale; uniform float flat_to;
out vec3 world, facing;
void main() {
  world = turn * (position * scale) + place;
  facing = turn * (normal / scale);
  if (flat_to > -1e8) { world -= vec3(.25, -.15, 1.) * (world.z - flat_to); world.z = flat_to; }
  gl_Position = project * view * vec4(world, 1.);
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec3 world, facing; uniform vec4 colour; uniform float lit, tiles; uniform vec3 eye; out vec4 shown;
void main() {
  vec3 c = colour.rgb;
  if (tiles > 0.) {
    vec2 cell = floor(world.xy / tiles);
    c *= mod(cell.x + cell.y, 2.) < 1. ? 1. : .9;
  }
  if (lit > 0.) {
    vec3 n = normalize(facing), to_eye = normalize(eye - world), sun = normalize(vec3(-.35, -.25, .9));
    if (dot(n, to_eye) < 0.) n = -n;
    c *= .5 + .5 * max(dot(n, sun), 0.) + .12 * max(dot(n, to_eye), 0.);
    c += .18 * pow(max(dot(n, normalize(sun + to_eye)), 0.), 40.);
  }
  shown = vec4(c, colour.a);
}`;

/* Unit shapes as triangles: {positions, normals, indices}. */
const Shapes = {
  sphere: () => lathe(arc(-Math.PI / 2, Math.PI / 2, 16)),
  cylinder: () => lathe([[0, -1, 0, -1], [1, -1, 0, -1], [1, -1, 1, 0], [1, 1, 1, 0], [1, 1, 0, 1], [0, 1, 0, 1]]),
  capsule: (radius, half) => lathe([...arc(-Math.PI / 2, 0, 8, radius, -half), ...arc(0, Math.PI / 2, 8, radius, half)]),
  box: () => {
    const positions = [], normals = [], indices = [];
    for (let axis = 0; axis < 3; axis++) for (const side of [-1, 1]) {
      const start = positions.length / 3;
      for (const [u, v] of [[-1, -1], [1, -1], [1, 1], [-1, 1]]) {
        const p = [0, 0, 0], n = [0, 0, 0];
        p[axis] = n[axis] = side; p[(axis + 1) % 3] = u; p[(axis + 2) % 3] = v;
        positions.push(...p); normals.push(...n);
      }
      indices.push(start, start + 1, start + 2, start, start + 2, start + 3);
    }
    return { positions, normals, indices };
  },
  plane: () => ({ positions: [-1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 1, 0], normals: [0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1], indices: [0, 1, 2, 0, 2, 3] }),
};

function arc(from, to, steps, radius = 1, height = 0) {
  return [...Array(steps + 1).keys()].map(k => {
    const a = from + (to - from) * k / steps, c = Math.cos(a), s = Math.sin(a);
    return [radius * c, height + radius * s, c, s];
  });
}

/* A profile of [radius, height, outward, upward] turned about z. */
function lathe(profile, sides = 24) {
  const positions = [], normals = [], indices = [], rows = profile.length;
  for (let side = 0; side <= sides; side++) {
    const c = Math.cos(2 * Math.PI * side / sides), s = Math.sin(2 * Math.PI * side / sides);
    for (const [r, z, out, up] of profile) { positions.push(r * c, r * s, z); normals.push(out * c, out * s, up); }
  }
  for (let side = 0; side < sides; side++) for (let row = 0; row + 1 < rows; row++) {
    const a = side * rows + row, b = a + rows;
    indices.push(a, b, a + 1, a + 1, b, b + 1);
  }
  return { positions, normals, indices };
}

/* A mesh of the model, each triangle with its own normal. */
function faceted({ vertices, faces }) {
  const positions = [], normals = [];
  for (let k = 0; k < faces.length; k += 3) {
    const [a, b, c] = [0, 1, 2].map(i => vertices.slice(3 * faces[k + i], 3 * faces[k + i] + 3));
    const n = cross(minus(b, a), minus(c, a));
    for (const p of [a, b, c]) { positions.push(...p); normals.push(...n); }
  }
  return { positions, normals, indices: [...positions.keys()].slice(0, positions.length / 3) };
}

const minus = (a, b) => a.map((x, i) => x - b[i]);
const plus = (a, b, t = 1) => a.map((x, i) => x + t * b[i]);
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = a => { const n = Math.hypot(...a) || 1; return a.map(x => x / n); };

/* Whether WebGL runs on the CPU, where fewer pixels keep drawing quick. */
function drawsInSoftware() {
  const probe = document.createElement("canvas").getContext("webgl2");
  if (!probe) return true;
  const names = probe.getExtension("WEBGL_debug_renderer_info");
  return /swiftshader|llvmpipe|software/i.test(probe.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : probe.RENDERER));
}

class SceneView {
  /* onPull(geom, grip, point): called while the goal is dragged. */
  constructor(canvas, onPull) {
    this.canvas = canvas; this.onPull = onPull;
    const slow = drawsInSoftware();
    this.sharpness = slow ? .75 : Math.min(window.devicePixelRatio || 1, 2);
    const gl = this.gl = canvas.getContext("webgl2", { antialias: !slow, alpha: true, premultipliedAlpha: false });
    if (!gl) return;
    this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source); gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program); gl.useProgram(this.program);
    this.at = name => gl.getUniformLocation(this.program, name);
    this.uniforms = Object.fromEntries(["view", "project", "turn", "place", "scale", "flat_to", "colour", "lit", "tiles", "eye"].map(n => [n, this.at(n)]));
    this.buffers = new Map(); this.meshes = [];
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  open(opening) {
    this.meshes = opening.meshes;
    const { centre, eye } = opening.viewpoint;
    const d = minus(eye, centre);
    this.centre = [...centre]; this.distance = Math.hypot(...d);
    this.azimuth = Math.atan2(d[1], d[0]); this.height = Math.asin(d[2] / this.distance);
    this.home = { centre: [...centre], distance: this.distance, azimuth: this.azimuth, height: this.height };
  }

  show(moment, ghosts) { this.moment = moment; this.ghosts = ghosts; this.draw(); }

  get eye() {
    const c = Math.cos(this.height);
    return plus(this.centre, [c * Math.cos(this.azimuth), c * Math.sin(this.azimuth), Math.sin(this.height)], this.distance);
  }

  /* Tangent of half the field of view from bottom to top; on a tall canvas the width decides. */
  get opening() { return Math.tan(FIELD / 2) * Math.max(1, 1.2 * this.canvas.clientHeight / this.canvas.clientWidth); }

  axes() {
    const back = unit(minus(this.eye, this.centre)), right = unit(cross([0, 0, 1], back));
    return { back, right, up: cross(back, right) };
  }

  draw() {
    const { gl, canvas, moment } = this;
    if (!gl || !moment || !this.centre) return;
    const w = Math.round(canvas.clientWidth * this.sharpness), h = Math.round(canvas.clientHeight * this.sharpness);
    if (!w || !h) return;
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    this.begin();
    gl.enable(gl.BLEND); gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const opaque = moment.solids.filter(s => s[4][3] > .99), clear = moment.solids.filter(s => s[4][3] <= .99);
    opaque.forEach(s => this.solid(s));
    const floor = opaque.find(s => s[0] === "plane" && s[3][8] > .99);
    gl.depthMask(false);
    if (floor) opaque.filter(s => s !== floor && s[2][2] > floor[2][2]).forEach(s => this.solid(s, [0, 0, 0, .16], floor[2][2] + .0015 * this.distance));
    gl.depthMask(true);
    clear.forEach(s => this.solid(s));
    for (const { solids, colour } of this.ghosts) solids.forEach(s => this.solid(s, colour));
    this.paths(moment.paths);
  }

  begin() {
    const { gl, uniforms: u, canvas } = this;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT); gl.enable(gl.DEPTH_TEST);
    const eye = this.eye, { back, right, up } = this.axes();
    gl.uniformMatrix4fv(u.view, false, [right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0, -dot(right, eye), -dot(up, eye), -dot(back, eye), 1]);
    const f = 1 / this.opening, near = this.distance / 50, far = this.distance * 50;
    gl.uniformMatrix4fv(u.project, false, [f * canvas.height / canvas.width, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, 2 * far * near / (near - far), 0]);
    gl.uniform3fv(u.eye, eye);
  }

  solid([shape, size, position, rotation, own], colour, flatTo) {
    const { gl, uniforms: u } = this;
    let scale = size, key = shape;
    if (shape === "sphere") scale = [size[0], size[0], size[0]];
    else if (shape === "capsule") { scale = [1, 1, 1]; key = `capsule ${size[0]} ${size[2]}`; }
    else if (shape === "cylinder") scale = [size[0], size[0], size[2]];
    else if (shape === "plane") scale = [size[0] || 20 * this.distance, size[1] || 20 * this.distance, 1];
    else if (shape.startsWith("mesh")) scale = [1, 1, 1];
    const buffer = this.buffer(key, shape, size), c = colour || own;
    gl.bindVertexArray(buffer.array);
    gl.uniform3fv(u.place, position); gl.uniform3fv(u.scale, scale);
    gl.uniformMatrix3fv(u.turn, true, rotation);
    gl.uniform4fv(u.colour, c);
    gl.uniform1f(u.lit, flatTo === undefined && shape !== "plane" ? 1 : 0);
    gl.uniform1f(u.tiles, shape === "plane" && !colour && Math.abs(rotation[8]) > .9 ? this.home.distance / 12 : 0);
    gl.uniform1f(u.flat_to, flatTo === undefined ? -1e9 : flatTo);
    gl.drawElements(gl.TRIANGLES, buffer.count, gl.UNSIGNED_INT, 0);
  }

  buffer(key, shape, size) {
    if (this.buffers.has(key)) return this.buffers.get(key);
    const { gl } = this;
    const made = shape.startsWith("mesh") ? faceted(this.meshes[+shape.slice(5)]) : shape === "ellipsoid" ? Shapes.sphere() : Shapes[shape](size[0], size[2]);
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    for (const [name, values] of [["position", made.positions], ["normal", made.normals]]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
      gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(values), gl.STATIC_DRAW);
      const place = gl.getAttribLocation(this.program, name);
      gl.enableVertexAttribArray(place); gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint32Array(made.indices), gl.STATIC_DRAW);
    const buffer = { array, count: made.indices.length };
    if (this.buffers.size > 500) this.buffers.clear(); // sizes that a slider went through
    this.buffers.set(key, buffer);
    return buffer;
  }

  /* Paths as ribbons that face the eye: lines of WebGL are one pixel wide. All of them in one buffer, filled once. */
  paths(paths) {
    const { gl, uniforms: u } = this, vertices = [], starts = [];
    for (const path of paths) {
      starts.push(vertices.length / 3);
      this.ribbon(path, vertices);
    }
    if (!vertices.length) return;
    if (!this.ribbons) {
      this.ribbons = { array: gl.createVertexArray(), buffer: gl.createBuffer(), normal: gl.getAttribLocation(this.program, "normal") };
      gl.bindVertexArray(this.ribbons.array); gl.bindBuffer(gl.ARRAY_BUFFER, this.ribbons.buffer);
      const place = gl.getAttribLocation(this.program, "position");
      gl.enableVertexAttribArray(place); gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
    }
    gl.bindVertexArray(this.ribbons.array); gl.bindBuffer(gl.ARRAY_BUFFER, this.ribbons.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(vertices), gl.DYNAMIC_DRAW);
    gl.vertexAttrib3f(this.ribbons.normal, 0, 0, 1);
    gl.uniform3fv(u.place, [0, 0, 0]); gl.uniform3fv(u.scale, [1, 1, 1]);
    gl.uniformMatrix3fv(u.turn, false, [1, 0, 0, 0, 1, 0, 0, 0, 1]);
    gl.uniform1f(u.lit, 0); gl.uniform1f(u.tiles, 0); gl.uniform1f(u.flat_to, -1e9);
    gl.disable(gl.DEPTH_TEST);
    paths.forEach((path, k) => {
      gl.uniform4fv(u.colour, [...PATHS[path.kind].colour, path.kind === "candidate" ? .1 + .3 * path.goodness : .95]);
      gl.drawArrays(gl.TRIANGLE_STRIP, starts[k], (k + 1 < starts.length ? starts[k + 1] : vertices.length / 3) - starts[k]);
    });
    gl.enable(gl.DEPTH_TEST);
  }

  /* Add the vertices of one path, two a point. */
  ribbon(path, vertices) {
    const width = PATHS[path.kind].width * this.distance, eye = this.eye;
    const points = [...Array(path.points.length / 3).keys()].map(k => path.points.slice(3 * k, 3 * k + 3));
    for (let k = 0; k < points.length; k++) {
      const along = minus(points[Math.min(k + 1, points.length - 1)], points[Math.max(k - 1, 0)]);
      let side = cross(along, minus(eye, points[k]));
      if (Math.hypot(...side) < 1e-9) side = [1, 0, 0];
      side = unit(side);
      vertices.push(...plus(points[k], side, width), ...plus(points[k], side, -width));
    }
  }

  ray(x, y) {
    const { back, right, up } = this.axes(), t = this.opening, { clientWidth: w, clientHeight: h } = this.canvas;
    return unit(plus(plus(back.map(v => -v), right, t * w / h * (2 * x / w - 1)), up, t * (1 - 2 * y / h)));
  }

  /* Ask for the held point to move under the pointer, within the plane in which it was grabbed. */
  pull(held, event) {
    const direction = this.ray(event.offsetX, event.offsetY), t = dot(minus(held.hit, this.eye), held.plane) / dot(direction, held.plane);
    if (isFinite(t) && t > 0) this.onPull(held.geom, held.grip, plus(this.eye, direction, t));
  }

  listen() {
    const { canvas } = this;
    let held = null, sent = 0;
    const pointers = new Map();
    canvas.addEventListener("contextmenu", event => event.preventDefault());
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, event);
      held = event.button === 0 && pointers.size === 1 && !event.shiftKey ? this.grab(event.offsetX, event.offsetY) : null;
    });
    canvas.addEventListener("pointermove", event => {
      if (!pointers.has(event.pointerId)) return canvas.classList.toggle("over-goal", !!this.grab(event.offsetX, event.offsetY));
      const before = pointers.get(event.pointerId), dx = event.offsetX - before.offsetX, dy = event.offsetY - before.offsetY;
      if (held) {
        if (event.timeStamp - sent > 70) { sent = event.timeStamp; this.pull(held, event); }
      } else if (pointers.size === 2) {
        const other = [...pointers.values()].find(p => p.pointerId !== event.pointerId);
        const gap = p => Math.hypot(p.offsetX - other.offsetX, p.offsetY - other.offsetY);
        this.distance *= gap(before) / Math.max(gap(event), 1);
      } else if (event.shiftKey || event.buttons & 6) {
        const { right, up } = this.axes(), k = 2 * this.opening * this.distance / canvas.clientHeight;
        this.centre = plus(plus(this.centre, right, -k * dx), up, k * dy);
      } else {
        this.azimuth -= .008 * dx; this.height = Math.min(1.55, Math.max(-1.5, this.height + .008 * dy));
      }
      pointers.set(event.pointerId, event);
      this.draw();
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, event => {
      if (held) this.pull(held, event); // where it was released, which the limit on commands above may have skipped
      pointers.delete(event.pointerId); held = null;
    });
    canvas.addEventListener("wheel", event => {
      event.preventDefault();
      this.distance *= Math.exp(.001 * event.deltaY); this.draw();
    }, { passive: false });
    canvas.addEventListener("dblclick", () => { Object.assign(this, { ...this.home, centre: [...this.home.centre] }); this.draw(); });
    canvas.addEventListener("keydown", event => {
      const turn = { ArrowLeft: [.1, 0], ArrowRight: [-.1, 0], ArrowUp: [0, .1], ArrowDown: [0, -.1] }[event.key];
      if (!turn) return;
      event.preventDefault();
      this.azimuth += turn[0]; this.height = Math.min(1.55, Math.max(-1.5, this.height + turn[1])); this.draw();
    });
  }

  /* The part of the goal under a point of the canvas: {geom, grip, hit, plane}; null where there is none. */
  grab(x, y) {
    const { moment } = this;
    if (!this.onPull || !moment || !moment.goal_solids.length) return null;
    const direction = this.ray(x, y), eye = this.eye;
    let best = null;
    for (const [shape, size, position, r, , geom] of moment.goal_solids) {
      if (geom < 0) continue;
      // the ray in the solid's own frame; its box stands for the solid
      const own = v => [r[0] * v[0] + r[3] * v[1] + r[6] * v[2], r[1] * v[0] + r[4] * v[1] + r[7] * v[2], r[2] * v[0] + r[5] * v[1] + r[8] * v[2]];
      const o = own(minus(eye, position)), d = own(direction);
      const half = { sphere: [size[0], size[0], size[0]], capsule: [size[0], size[0], size[2] + size[0]], cylinder: [size[0], size[0], size[2]] }[shape] || size;
      const reach = half.map(v => v * 1.25);
      let near = -Infinity, far = Infinity;
      for (let axis = 0; axis < 3; axis++) {
        const a = (-reach[axis] - o[axis]) / d[axis], b = (reach[axis] - o[axis]) / d[axis];
        near = Math.max(near, Math.min(a, b)); far = Math.min(far, Math.max(a, b));
      }
      if (near <= far && far > 0 && (!best || near < best.near)) {
        const hit = plus(eye, direction, near);
        best = { near, geom, hit, grip: own(minus(hit, position)), plane: direction };
      }
    }
    return best;
  }
}

const FIELD = 45 * Math.PI / 180;
const PATHS = {
  candidate: { colour: [.55, .55, .6], width: .0012 },
  simulated: { colour: [.16, .47, .84], width: .0042 },
  plan: { colour: [.95, .51, .09], width: .0042 },
};
