// Panels of a sample: each is cut out of an atlas of all its slices.

const hidden = new Set(); // titles of panels that are switched off

function loadPicture(url) {
  const image = new Image();
  image.src = url;
  return image.decode().then(() => image);
}

// Panels in the order scan, then what belongs to each target.
function byTarget(panels) {
  const targets = [...new Set(panels.map((panel) => panel.target))];
  return targets.flatMap((target) => panels.filter((panel) => panel.target === target));
}

// What a panel's title says beyond its target's name.
function partOf(panel) {
  const start = `${panel.target}: `;
  return panel.target && panel.title.startsWith(start) ? panel.title.slice(start.length) : panel.title;
}

// One figure for each panel, drawn at a slice; resolves once every picture is there.
async function makePanels(atlas) {
  const panels = byTarget(atlas.panels);
  const images = await Promise.all(panels.map((panel) => loadPicture(panel.picture)));
  return panels.map((panel, n) => {
    const canvas = element("canvas", { width: atlas.width, height: atlas.height, role: "img" });
    const figure = element("figure", { "data-title": panel.title }, element("figcaption", {}, panel.title), canvas);
    figure.hidden = hidden.has(panel.title);
    return { panel, atlas, canvas, figure, image: images[n] };
  });
}

function drawPanel({ panel, atlas, canvas, image }, slice) {
  const { width, height, columns } = atlas;
  const left = (slice % columns) * width, top = Math.floor(slice / columns) * height;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, left, top, width, height, 0, 0, width, height);
  canvas.setAttribute("aria-label", `${panel.title}, slice z = ${atlas.z[slice]}`);
}

// One checkbox for each panel, those of a target together.
function makeToggles(parent, panels) {
  const titles = JSON.stringify(panels.map((panel) => panel.title));
  if (parent.dataset.titles === titles) return;
  parent.dataset.titles = titles;
  const ordered = byTarget(panels);
  parent.replaceChildren(...[...new Set(ordered.map((panel) => panel.target))].map((target) => {
    const group = element("fieldset", {}, element("legend", {}, target || "scan"));
    for (const panel of ordered.filter((one) => one.target === target)) {
      const box = element("input", { type: "checkbox" });
      box.checked = !hidden.has(panel.title);
      box.addEventListener("change", () => switchPanel(panel.title, box.checked));
      group.append(element("label", {}, box, ` ${partOf(panel)}`));
    }
    return group;
  }));
}

function switchPanel(title, isShown) {
  if (isShown) hidden.delete(title);
  else hidden.add(title);
  for (const figure of document.querySelectorAll("figure[data-title]")) {
    if (figure.dataset.title === title) figure.hidden = !isShown;
  }
}

// Previews of all epochs: two sliders, of which that of the epoch stays at the last one when it stands there.
class Previews {
  constructor(source) {
    this.source = source;
    this.epochs = [];
    this.shown = null; // the epoch whose panels are there
    this.panels = [];
    this.cache = new Map();
    this.epoch = document.getElementById("epoch");
    this.slice = document.getElementById("slice");
    this.place = document.getElementById("panels");
    this.epoch.addEventListener("input", () => this.show());
    this.slice.addEventListener("input", () => this.draw());
  }

  // `started` tells one training in this folder from the one before it, whose pictures are forgotten.
  update(epochs, started) {
    document.getElementById("no-previews").hidden = epochs.length > 0;
    document.getElementById("previews").hidden = epochs.length === 0;
    const isAnother = started !== this.started;
    if (isAnother) {
      this.cache.clear();
      this.shown = null;
      this.started = started;
    }
    if (!isAnother && JSON.stringify(epochs) === JSON.stringify(this.epochs)) return;
    const chosen = this.epochs[this.epoch.value];
    const follows = !this.epochs.length || Number(this.epoch.value) === this.epochs.length - 1;
    this.epochs = epochs;
    if (!epochs.length) return;
    this.epoch.max = epochs.length - 1;
    this.epoch.value = follows || !epochs.includes(chosen) ? epochs.length - 1 : epochs.indexOf(chosen);
    this.show();
  }

  async show() {
    const epoch = this.epochs[this.epoch.value];
    const said = `${epoch}, of ${this.epochs[0]} to ${this.epochs[this.epochs.length - 1]}`;
    document.getElementById("epoch-said").textContent = said;
    this.epoch.setAttribute("aria-valuetext", `epoch ${said}`);
    if (epoch === this.shown) return;
    const atlas = await this.read(epoch);
    const panels = atlas?.panels ? await makePanels(atlas) : [];
    const whole = atlas?.picture ? await loadPicture(atlas.picture) : null;
    if (epoch !== this.epochs[this.epoch.value] || epoch === this.shown || !atlas) return; // the slider has moved on
    this.shown = epoch;
    this.panels = panels;
    this.place.classList.toggle("whole", whole !== null);
    this.slice.disabled = whole !== null;
    if (whole) {
      whole.className = "whole";
      whole.alt = `preview of epoch ${epoch}`;
      this.place.replaceChildren(whole);
      document.getElementById("slice-said").textContent = "in the middle: this run kept no others for this page";
      return;
    }
    const share = this.depth ? Number(this.slice.value) / Math.max(this.depth - 1, 1) : 0.5;
    this.depth = atlas.z.length;
    this.slice.max = this.depth - 1;
    this.slice.value = Math.round(share * (this.depth - 1));
    makeToggles(document.getElementById("toggles"), atlas.panels);
    this.draw();
    this.place.replaceChildren(...panels.map((one) => one.figure));
  }

  async read(epoch) {
    if (!this.cache.has(epoch)) {
      const atlas = await this.source.preview(epoch).catch(() => null);
      if (!atlas) return null;
      this.cache.set(epoch, atlas);
      if (this.cache.size > 20) this.cache.delete(this.cache.keys().next().value);
    }
    return this.cache.get(epoch);
  }

  draw() {
    if (!this.panels.length) return;
    const slice = Number(this.slice.value), { z, depth } = this.panels[0].atlas;
    const said = `z = ${z[slice]}, of 0 to ${depth - 1}`;
    document.getElementById("slice-said").textContent = said;
    this.slice.setAttribute("aria-valuetext", `slice ${said}`);
    for (const one of this.panels) drawPanel(one, slice);
  }
}
