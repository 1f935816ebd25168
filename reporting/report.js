"use strict";
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const make = (name, attributes = {}, ...inside) => {
  const one = attributes.svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (key !== "svg") one.setAttribute(key, value);
  one.append(...inside);
  return one;
};
const color = name => getComputedStyle(document.documentElement).getPropertyValue(name);

// Tables: each heading sorts, a field filters where there are many rows.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  if (rows.length < 3) continue;
  heads.forEach((head, k) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(one => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
      const text = row => row.cells[k].textContent, number = table.classList.contains(`r${k + 1}`);
      const compare = (a, b) => number ? parseFloat(text(a)) - parseFloat(text(b)) : text(a).localeCompare(text(b));
      const known = rows.filter(row => text(row) !== "").sort((a, b) => down * compare(a, b));
      body.append(...known, ...rows.filter(row => text(row) === ""));
    };
  });
  if (rows.length <= 10) continue;
  const title = table.closest("figure").querySelector("figcaption");
  const field = make("input", { type: "search", placeholder: "filter rows", "aria-label": `Filter rows: ${title.textContent}` });
  field.oninput = () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows) row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
  };
  title.append(make("br"), field);
}

// TLS: the particles of the path on a canvas, and a marker on V(x).
const players = {};
function player(box) {
  const all = JSON.parse(box.querySelector("script").textContent), stage = box.querySelector(".stage");
  if (!all.length) return;
  const canvas = make("canvas", { tabindex: 0, role: "application", "aria-label": "Particles that move; arrow keys turn them" });
  const graph = make("svg", { svg: 1, viewBox: "0 0 460 330", role: "img", "aria-label": "V along the path with both levels" });
  const choice = make("select", { "aria-label": "TLS" }, ...all.map((one, k) => make("option", { value: k }, one.name)));
  const play = make("button", { type: "button" }), facts = make("span");
  const slider = make("input", { type: "range", min: 0, max: 1000, value: 0, "aria-label": "Place along the path" });
  stage.prepend(canvas, graph);
  stage.append(make("div", { class: "row" }, play, slider), make("div", { class: "row" }, choice, facts));
  let one, places, marker, turn = [0.25, -0.35], phase = 0, running = false, last = 0;
  const show = k => {
    one = all[k];
    choice.value = k;
    const bytes = Uint8Array.from(atob(one.motion.places), c => c.charCodeAt(0));
    places = new Int16Array(bytes.buffer);
    facts.textContent = one.facts.join(" · ");
    profile();
    draw();
  };
  const profile = () => {
    const p = one.profile, x = v => 62 + v * 0.385, y = v => 278 - v * 0.26;
    const line = points => "M" + points.filter(p => p[1] < 1080).map(([a, b]) => `${x(a)},${y(b)}`).join("L");
    const text = (a, b, said, more = {}) => make("text", { svg: 1, x: a, y: b, ...more }, said);
    marker = make("circle", { svg: 1, r: 8, fill: color("--orange"), stroke: color("--card"), "stroke-width": 2 });
    graph.replaceChildren(make("path", { svg: 1, class: "axis", d: "M62,8V290H450" }),
      ...p.ticks.map(([v, said]) => text(56, y(v) + 4, said, { "text-anchor": "end" })),
      text(255, 316, p.x, { "text-anchor": "middle" }), text(-140, 14, p.y, { transform: "rotate(-90)", "text-anchor": "middle" }),
      ...p.levels.map((v, k) => make("path", { svg: 1, d: `M62,${y(v)}H440`, stroke: color(["--blue", "--green"][k]), "stroke-width": 1.5, "stroke-dasharray": k ? "6 4" : "none" })),
      ...p.levels.map((v, k) => text(k ? 444 : 66, y(v) + (k ? -5 : 15), "E" + "₀₁"[k], { "text-anchor": k ? "end" : "start" })),
      make("path", { svg: 1, d: line(p.curve), fill: "none", stroke: color("--text"), "stroke-width": 2 }),
      ...p.images.map(([a, b]) => make("circle", { svg: 1, r: 2.5, cx: x(a), cy: y(b), fill: color("--text") })), marker);
  };
  const at = s => {  // between which images, and how far from the first of both
    const along = one.motion.along;
    let k = along.findIndex(x => x >= s);
    k = Math.max(1, k < 0 ? along.length - 1 : k);
    return [k - 1, (s - along[k - 1]) / (along[k] - along[k - 1])];
  };
  const draw = () => {
    const m = one.motion, n = m.radii.length, size = Math.min(canvas.clientWidth, canvas.clientHeight) || 300, dots = devicePixelRatio;
    canvas.width = canvas.clientWidth * dots;
    canvas.height = canvas.clientHeight * dots;
    const ink = canvas.getContext("2d"), s = slider.value / 1000, [k, part] = at(s);
    const [ca, sa, cb, sb] = [Math.cos(turn[0]), Math.sin(turn[0]), Math.cos(turn[1]), Math.sin(turn[1])];
    const place = (i, frame) => [0, 1, 2].map(c => places[(frame * n + i) * 3 + c] * m.step);
    const turned = ([x, y, z]) => [x * ca + z * sa, y * cb - (z * ca - x * sa) * sb, y * sb + (z * ca - x * sa) * cb];
    let far = 0;
    for (let i = 0; i < n; i++) far = Math.max(far, Math.hypot(...place(i, 0)) + m.radii[i] * 0.8);
    const scale = size / 2 / far;
    ink.setTransform(dots, 0, 0, dots, canvas.clientWidth / 2, canvas.clientHeight / 2);
    const drawn = m.radii.map((r, i) => {
      const a = place(i, k), b = place(i, k + 1);
      return { i, r: r * 0.8 * scale, p: turned(a.map((v, c) => v + part * (b[c] - v))).map(v => v * scale) };
    }).sort((a, b) => a.p[2] - b.p[2]);
    for (const { i, r, p: [x, y, z] } of drawn) {
      const moves = i < m.moving, shade = ink.createRadialGradient(x - r / 3, -y - r / 3, r / 8, x, -y, r);
      ink.globalAlpha = moves ? 1 : 0.28 + 0.22 * (z / size + 0.5);
      shade.addColorStop(0, moves ? "#fff" : color("--card"));
      shade.addColorStop(1, moves ? m.colors[i] : color("--soft"));
      ink.fillStyle = shade;
      ink.beginPath();
      ink.arc(x, -y, r, 0, 7);
      ink.fill();
    }
    ink.globalAlpha = 1;
    ink.lineWidth = 2;
    ink.strokeStyle = color("--orange");
    for (let i = 0; i < m.moving; i++) {
      ink.beginPath();
      for (let f = 0; f < m.along.length; f++) { const [x, y] = turned(place(i, f)).map(v => v * scale); ink.lineTo(x, -y); }
      ink.stroke();
    }
    const images = one.profile.images, x = images[0][0] + s * (images[images.length - 1][0] - images[0][0]);
    const next = Math.max(1, images.findIndex(p => p[0] >= x)), [a, b] = [images[next - 1], images[next]];
    const v = a[1] + (b[1] - a[1]) * Math.min(1, Math.max(0, (x - a[0]) / (b[0] - a[0])));
    marker.setAttribute("cx", 62 + x * 0.385);
    marker.setAttribute("cy", 278 - v * 0.26);
  };
  const run = on => { running = on; last = 0; play.textContent = on ? "❚❚ pause" : "▶ play"; if (on) requestAnimationFrame(step); };
  const step = now => {
    if (!running) return;
    if (last) phase += (now - last) / 2400;
    last = now;
    slider.value = 500 - 500 * Math.cos(Math.PI * phase);
    draw();
    requestAnimationFrame(step);
  };
  play.onclick = () => { if (!running) phase = Math.acos(1 - slider.value / 500) / Math.PI; run(!running); };
  slider.oninput = () => { run(false); draw(); };
  choice.onchange = () => show(+choice.value);
  canvas.onpointerdown = event => canvas.setPointerCapture(event.pointerId);
  canvas.onpointermove = event => {
    if (!event.buttons) return;
    turn = [turn[0] + event.movementX / 120, turn[1] + event.movementY / 120];
    draw();
  };
  canvas.onkeydown = event => {
    const by = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (!by) return;
    event.preventDefault();
    turn = [turn[0] + by[0], turn[1] + by[1]];
    draw();
  };
  all.forEach((tls, k) => { players[`${box.dataset.at}/${tls.id}`] = () => { show(k); canvas.scrollIntoView({ block: "nearest" }); choice.focus({ preventScroll: true }); }; });
  box.classList.add("plays");
  run(false);
  show(0);
  addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { profile(); draw(); });
}
if (!still) document.querySelectorAll(".viewer").forEach(player);

// What opens a TLS: a point of the plane, a row of a table.
addEventListener("click", event => {
  const from = event.target.closest("[data-opens]");
  if (!from) return;
  const open = players[from.dataset.opens], picture = document.getElementById(`tls/${from.dataset.opens}`);
  if (open) { event.preventDefault(); open(); }
  else if (picture) { event.preventDefault(); if (picture.closest("details")) picture.closest("details").open = true; picture.scrollIntoView(); }
});
