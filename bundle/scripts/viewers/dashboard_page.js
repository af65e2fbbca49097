// The page: where its numbers come from, and what they fill.

const byId = (id) => document.getElementById(id);
const embedded = byId("data") ? JSON.parse(byId("data").textContent) : null;

async function ask(address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return answer.json();
}

const source = embedded
  ? {
      summary: async () => embedded.summary,
      preview: async (epoch) => embedded.previews[epoch],
      worst: async () => embedded.worst,
    }
  : {
      summary: () => ask("/summary.json"),
      preview: (epoch) => ask(`/previews/${epoch}.json`),
      worst: () => ask("/worst.json"),
    };

function duration(seconds) {
  let rest = Math.round(seconds);
  const units = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  for (const [size, unit, smaller, smallerUnit] of units) {
    if (rest >= size) return `${Math.floor(rest / size)} ${unit} ${Math.floor((rest % size) / smaller)} ${smallerUnit}`;
  }
  return `${rest} s`;
}

const day = (seconds) => new Date(seconds * 1000).toLocaleString();

function showText(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text; // an unchanged status is not read out again
}

function showHead({ name, folder, state, now, seen, record }) {
  showText("name", name);
  showText("folder", folder);
  showText("state", state);
  byId("state").className = `badge ${state}`;
  const parts = [];
  if (embedded) parts.push(`as of ${day(now)}`);
  const sign = ["finished", "failed"].includes(state) ? "ended" : "last sign of life";
  if (seen) parts.push(`${sign} ${embedded ? day(seen) : `${duration(Math.max(0, now - seen))} ago`}`);
  if (record.started) parts.push(`started ${day(record.started)}`);
  showText("seen", parts.join(", "));
  showText("error", record.error ?? "");
  byId("error").hidden = !record.error;
}

function showProgress({ record, epochs, state }) {
  const { epoch, max_epochs: last, iteration, epoch_length: length, phase } = record;
  const parts = [];
  if (epoch !== undefined) {
    parts.push(`epoch ${epoch} of ${last}`);
    if (length) parts.push(`step ${iteration - Math.max(epoch - 1, 0) * length} of ${length}`);
    if (state === "running" && phase === "validation") parts.push("validating");
    if (state === "running" && record.seconds_left) parts.push(`about ${duration(record.seconds_left)} left`);
    if (record.seconds_per_iteration) parts.push(`${short(record.seconds_per_iteration)} s a step`);
    byId("progress").value = length && last ? iteration / (length * last) : 0;
  } else if (epochs.length) {
    parts.push(`${epochs[epochs.length - 1]} epochs done`);
  } else if (state === "running") {
    parts.push("before the first batch");
  }
  byId("progress").hidden = epoch === undefined;
  showText("where", parts.join(", "));
}

const charts = new Map();

function showCharts({ steps, epochs, charts: found }) {
  const chart = (title) => {
    if (!charts.has(title)) charts.set(title, new Chart(byId("charts"), title));
    return charts.get(title);
  };
  if (steps.length) {
    const each = { x: steps.map(([n]) => n), xLabel: "step", label: "loss", series: stepSeries(steps) };
    chart("Loss of each step (training)").update({ ...each, raw: ["each step"] });
  }
  for (const one of found) chart(one.title).update({ x: epochs, xLabel: "epoch", label: one.label, series: one.series });
  byId("no-charts").hidden = charts.size > 0;
}

let worstSeen = null;

async function showWorst({ worst }) {
  if (worst === worstSeen) return;
  const found = worst === null ? null : await source.worst();
  if (!found) return;
  const items = await Promise.all(found.patches.map(async (patch) => {
    const panels = await makePanels(patch.atlas);
    panels.forEach((one) => {
      drawPanel(one, 0);
      one.canvas.setAttribute("aria-label", one.panel.title);
    });
    const list = element("dl");
    const image = patch.image ? [["image", patch.image]] : [];
    const slice = patch.slice === null ? "maximum along z" : `slice ${patch.slice} of the patch`;
    const rows = [["volume", patch.volume], ...image, ["start", patch.start], ["size", patch.size], ["shown", slice]];
    for (const [key, value] of rows) {
      if (value === undefined) continue;
      const text = Array.isArray(value) ? value.join(" ") : String(value);
      list.append(element("div", {}, element("dt", {}, key), " ", element("dd", {}, text)));
    }
    const pictures = element("div", { class: "panels" }, ...panels.map((one) => one.figure));
    return element("li", {}, element("h3", {}, `loss ${short(patch.loss)}, step ${patch.iteration}`), list, pictures);
  }));
  worstSeen = worst;
  byId("worst").replaceChildren(...items);
  const of = found.patches.some((patch) => patch.batch_size > 1) ? " The loss is of a whole batch." : "";
  showText("worst-said", `From the batches with the highest loss of epoch ${found.epoch}.${of}`);
}

function pretty(value) {
  if (value === null || typeof value !== "object") return typeof value === "string" ? value : JSON.stringify(value);
  const flat = JSON.stringify(value);
  return flat.length <= 60 ? flat : JSON.stringify(value, null, 2);
}

function fillTable(table, rows) {
  const said = JSON.stringify(rows);
  if (table.said === said) return false;
  table.said = said;
  table.replaceChildren(...rows.map(([key, value]) => {
    const row = element("tr", {}, element("th", { scope: "row" }, key), element("td", {}, element("pre", {}, pretty(value))));
    row.dataset.words = `${key} ${JSON.stringify(value)}`.toLowerCase();
    return row;
  }));
  return true;
}

function showSettings({ record }) {
  const settings = Object.entries(record.settings ?? {});
  byId("no-settings").hidden = settings.length > 0;
  byId("settings").hidden = settings.length === 0;
  showText("settings-count", String(settings.length));
  if (fillTable(byId("settings-table"), settings)) search();
  const network = Object.entries(record.plan ?? {});
  if (record.parameters) network.unshift(["parameters", record.parameters.toLocaleString("en")]);
  byId("network").hidden = network.length === 0;
  fillTable(byId("network-table"), network);
  const machine = Object.entries(record.machine ?? {});
  byId("machine").hidden = machine.length === 0;
  fillTable(byId("machine-table"), machine);
}

function search() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...byId("settings-table").rows];
  for (const row of rows) row.hidden = !words.every((word) => row.dataset.words.includes(word));
  showText("found", words.length ? `${rows.filter((row) => !row.hidden).length} of ${rows.length}` : "");
}

const previews = new Previews(source);

async function refresh() {
  try {
    const summary = await source.summary();
    showHead(summary);
    showProgress(summary);
    showCharts(summary);
    previews.update(summary.previews, summary.record.started);
    showSettings(summary);
    await showWorst(summary);
  } catch (error) {
    showText("state", "no answer");
    byId("state").className = "badge gone";
    showText("seen", `the dashboard's server has gone: ${error.message}`);
  }
  byId("page").setAttribute("aria-busy", "false");
}

byId("search").addEventListener("input", search);
refresh();
if (!embedded) {
  const seconds = Number(document.body.dataset.refresh);
  const again = () => setTimeout(() => refresh().then(again), seconds * 1000);
  again();
}
