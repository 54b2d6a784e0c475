// Draws a Plotly figure and updates it in place: zoom, hover and legend stay while data changes.
// data: { script: address of plotly.min.js, figure: Plotly JSON, config, label }

let loading = null;

function library(address) {
  loading ??= new Promise((loaded, failed) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => loaded(window.Plotly);
    script.onerror = () => { loading = null; failed(new Error("Plotly could not be loaded")); };
    document.head.appendChild(script);
  });
  return loading;
}

function themed(layout, element) {
  const style = getComputedStyle(element);
  const colour = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise;
  const ink = colour("--st-text-color", "#444");
  const line = colour("--st-border-color", "#ddd");
  const axis = { gridcolor: line, linecolor: line, zerolinecolor: line };
  const themedLayout = {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, family: colour("--st-font", "sans-serif"), size: 12.5 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: ink },
    hoverlabel: {
      align: "left",
      bgcolor: colour("--st-secondary-background-color", "#fff"),
      bordercolor: line,
      font: { color: ink, family: colour("--st-font", "sans-serif"), size: 13 },
    },
  };
  for (const name of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(name)) themedLayout[name] = { ...axis, ...layout[name] };
  }
  return themedLayout;
}

// The range of y that fits what of the data is between `from` and `to` of x; null if nothing is.
// Bars stand on zero; lines need not.
function fitting(data, from, to) {
  let low = Infinity, high = -Infinity;
  for (const trace of data) {
    if (trace.visible === "legendonly") continue;
    trace.x.forEach((x, i) => {
      const at = new Date(x).getTime(), y = trace.y[i];
      if (y == null || at < from || at > to) return;
      low = Math.min(low, y, trace.type === "bar" ? 0 : y);
      high = Math.max(high, y, trace.type === "bar" ? 0 : y);
    });
  }
  if (low > high) return null;
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  return [low === 0 ? 0 : low - room, high + room];
}

// Of a chart over time that is zoomed in x; null if it is not.
function zoomed(box, data) {
  const x = box._fullLayout && box._fullLayout.xaxis;
  if (!x || x.type !== "date" || x.autorange) return null;
  const [from, to] = x.range.map((moment) => new Date(moment).getTime());
  return fitting(data, from, to);
}

const NARROW = 500;

// On a phone the bars would have no room beside both texts: only the value stays beside them, without its share.
function narrow(data, layout) {
  for (const trace of data) {
    if (trace.textposition !== "outside") continue;
    trace.text = trace.text.map((words) => words.split(" · ")[0]);
    layout.margin = { ...layout.margin, r: 60 };
  }
}

function fitAfterZoom(box, change) {
  if (!Object.keys(change).some((name) => name.startsWith("xaxis."))) return;
  const range = zoomed(box, box.data);
  window.Plotly.relayout(box, range ? { "yaxis.range": range } : { "yaxis.autorange": true });
}

export default function ({ data, parentElement }) {
  let box = parentElement.querySelector(".sales-plot");
  if (!box) {
    box = document.createElement("div");
    box.className = "sales-plot";
    box.dataset.testid = "stPlotlyChart";
    parentElement.appendChild(box);
    new ResizeObserver(() => {
      if (box.isConnected && box.offsetWidth && box.data) window.Plotly.Plots.resize(box);
    }).observe(parentElement);
  }
  const figure = JSON.parse(data.figure);
  box.setAttribute("role", "figure");
  box.setAttribute("aria-label", data.label);
  box.style.height = `${figure.layout.height}px`;
  library(data.script).then(
    async (plotly) => {
      const layout = themed(figure.layout, box);
      const range = zoomed(box, figure.data);
      if (range) layout.yaxis = { ...layout.yaxis, range, autorange: false };
      if (box.offsetWidth < NARROW) narrow(figure.data, layout);
      const touch = window.matchMedia("(max-width: 640px), (hover: none)").matches; // the bar would lie over the chart
      const config = touch ? { ...data.config, displayModeBar: false } : data.config;
      const first = !box.data;
      await plotly.react(box, figure.data, layout, config);
      if (first) box.on("plotly_relayout", (change) => fitAfterZoom(box, change));
    },
    (error) => { box.textContent = error.message; },
  );
  return () => {
    // also called between two updates: only a box that left the page is taken apart
    setTimeout(() => { if (!box.isConnected && window.Plotly) window.Plotly.purge(box); }, 1000);
  };
}
