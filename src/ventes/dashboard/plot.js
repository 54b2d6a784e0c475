// Draws a Plotly figure and updates it in place: zoom, hover and legend stay while data changes.
// data: { script: address of Plotly's script, figure: Plotly JSON, config, label, fill, clickable, picks, spans }

const NARROW = 500;

const loading = {}; // by address: the part of Plotly for bars and lines, or the whole (chart_script.py)

function library(address) {
  loading[address] ??= new Promise((loaded, failed) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => loaded(window.Plotly);
    script.onerror = () => { delete loading[address]; failed(new Error("Plotly could not be loaded")); };
    document.head.appendChild(script);
  });
  return loading[address];
}

// The size of letters; a wall has larger ones (style.py).
function letters(element) {
  return parseFloat(getComputedStyle(element).getPropertyValue("--ventes-letters")) || 12.5;
}

// Names of days and months as the language writes them: Plotly itself knows the English ones only.
function speak(plotly, language) {
  if (language === "en" || plotly.spoken === language) return;
  plotly.spoken = language;
  const names = (count, options, at) => Array.from({ length: count }, (_, i) =>
    new Intl.DateTimeFormat(language, { ...options, timeZone: "UTC" }).format(at(i)));
  const month = (i) => Date.UTC(2024, i, 1);
  const day = (i) => Date.UTC(2024, 8, 1 + i); // a Sunday
  plotly.register({
    moduleType: "locale",
    name: language,
    dictionary: {},
    format: {
      days: names(7, { weekday: "long" }, day),
      shortDays: names(7, { weekday: "short" }, day),
      months: names(12, { month: "long" }, month),
      shortMonths: names(12, { month: "short" }, month),
      date: "%d/%m/%Y",
      decimal: ",",
      thousands: "\u202f",
      year: "%Y",
      month: "%b %Y",
      dayMonth: "%-d %b",
      dayMonthYear: "%-d %b %Y",
    },
  });
}

function isWall(style) {
  return style.getPropertyValue("--ventes-wall").trim() === "1";
}

// What stands above the chart of a wall comes later, or becomes higher: then the chart is made to fit again.
function fillWall(box) {
  if (!box.isConnected || !box.data || !isWall(getComputedStyle(box))) return;
  const height = heightOf(box, 0, 0, true);
  if (Math.abs(height - box.offsetHeight) < 2) return;
  box.style.height = `${height}px`;
  const layout = { yaxis: { ...box.layout.yaxis }, height };
  largest(box.data, layout);
  box.plotly.relayout(box, { height, "yaxis.range": layout.yaxis.range });
}

// Pixels that so many bars may be high: a single one is no wall of colour.
function mostOf(data) {
  return data[0]?.orientation === "h" ? 100 + 72 * data[0].y.length : Infinity;
}

// Pixels of a chart that fills the window: down to its end, but for what follows it. On a wall exactly so many, else at
// least as many as the figure asks for, at most `most`. Found once for a size of the window, so that nothing moves.
function heightOf(box, least, most, fill) {
  if (!fill || window.innerWidth < NARROW) return least;
  const style = getComputedStyle(box);
  const size = `${window.innerWidth}×${window.innerHeight}`;
  if (box.dataset.size !== size || isWall(style)) {
    const scroller = box.closest("[data-testid=stMain]");
    const top = box.getBoundingClientRect().top + (scroller ? scroller.scrollTop : 0);
    const below = parseFloat(style.getPropertyValue("--ventes-below-chart")) || 96;
    box.dataset.size = size;
    box.dataset.room = Math.floor(window.innerHeight - top - below);
  }
  const room = Number(box.dataset.room);
  return isWall(style) ? Math.max(room, 160) : Math.max(least, Math.min(room, most));
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
    font: { color: ink, family: colour("--st-font", "sans-serif"), size: letters(element) },
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

// On a phone the bars would have no room beside both texts: only the value stays beside them, without its share.
function narrow(data, layout) {
  for (const trace of data) {
    if (trace.textposition !== "outside") continue;
    trace.text = trace.text.map((words) => words.split(" · ")[0]);
    layout.margin = { ...layout.margin, r: 60 };
  }
}

// The letters beside bars have a size of their own.
function enlarge(data, size) {
  if (size <= 12.5) return;
  for (const trace of data) {
    if (trace.textfont) Object.assign(trace, { textfont: { size: size - 1 }, constraintext: "none" });
  }
}

// Paper is narrower than the window: the style sheet scales the picture to it.
function scalable(box) {
  for (const svg of box.querySelectorAll(".main-svg")) {
    svg.setAttribute("viewBox", `0 0 ${svg.getAttribute("width")} ${svg.getAttribute("height")}`);
    svg.setAttribute("preserveAspectRatio", "xMinYMin meet");
  }
}

const WALL_ROW = 34;

// As many bars as can be read from afar: the largest.
function largest(data, layout) {
  if (data[0]?.orientation !== "h") return;
  const shown = Math.max(1, Math.floor((layout.height - 90) / WALL_ROW));
  if (data[0].y.length > shown) layout.yaxis = { ...layout.yaxis, range: [shown - 0.5, -0.5], autorange: false };
}

function fitAfterZoom(box, change) {
  if (!Object.keys(change).some((name) => name.startsWith("xaxis."))) return;
  const range = zoomed(box, box.data);
  box.plotly.relayout(box, range ? { "yaxis.range": range } : { "yaxis.autorange": true });
}

// Tells the page what was clicked, and how far a chart over time is zoomed in: it then has finer points.
function listen(box) {
  const layer = () => box.querySelector(".nsewdrag");
  box.on("plotly_relayout", (change) => {
    fitAfterZoom(box, change);
    if (!Object.keys(change).some((name) => name.startsWith("xaxis."))) return;
    const x = box._fullLayout.xaxis;
    if (x.type === "date") box.tell("zoom", x.autorange ? null : [...x.range]);
  });
  box.on("plotly_click", ({ points }) => {
    const at = points.find((point) => point.curveNumber === 0);
    if (!at || !box.clicks) return;
    const { picks, spans } = box.clicks, index = at.pointIndex;
    box.tell("clicked", { x: String(at.x), pick: picks[index], span: spans[index] });
  });
  box.on("plotly_hover", () => { if (box.clicks && layer()) layer().style.cursor = "pointer"; });
  box.on("plotly_unhover", () => { if (layer()) layer().style.cursor = ""; });
}

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  let box = parentElement.querySelector(".sales-plot");
  if (!box) {
    box = document.createElement("div");
    box.className = "sales-plot";
    box.dataset.testid = "stPlotlyChart";
    parentElement.appendChild(box);
    const block = parentElement.closest("[data-testid=stMainBlockContainer]");
    if (block) new ResizeObserver(() => fillWall(box)).observe(block);
    new ResizeObserver(() => {
      if (box.isConnected && box.offsetWidth && box.data) box.plotly.Plots.resize(box);
    }).observe(parentElement);
  }
  const figure = JSON.parse(data.figure);
  figure.layout.height = heightOf(box, figure.layout.height, mostOf(figure.data), data.fill);
  box.setAttribute("role", "figure");
  box.setAttribute("aria-label", data.label);
  box.style.height = `${figure.layout.height}px`;
  library(data.script).then(
    async (plotly) => {
      speak(plotly, data.config.locale || "en");
      enlarge(figure.data, letters(box));
      const layout = themed(figure.layout, box);
      const range = zoomed(box, figure.data);
      if (range) layout.yaxis = { ...layout.yaxis, range, autorange: false };
      if (box.offsetWidth < NARROW) narrow(figure.data, layout);
      if (isWall(getComputedStyle(box))) largest(figure.data, layout);
      const touch = window.matchMedia("(max-width: 640px), (hover: none)").matches; // the bar would lie over the chart
      const config = touch ? { ...data.config, displayModeBar: false } : data.config;
      if (box.plotly !== plotly) box.plotly?.purge(box); // another kind of chart, which needs the whole script
      box.plotly = plotly;
      const first = !box.data;
      box.clicks = data.clickable ? { picks: data.picks, spans: data.spans } : null;
      box.tell = (name, value) => (name === "zoom" ? setStateValue : setTriggerValue)(name, value);
      await plotly.react(box, figure.data, layout, config);
      if (first) {
        listen(box);
        box.on("plotly_afterplot", () => scalable(box));
      }
      scalable(box);
      fillWall(box);
    },
    (error) => { box.textContent = error.message; },
  );
  return () => {
    // also called between two updates: only a box that left the page is taken apart
    setTimeout(() => { if (!box.isConnected && box.plotly) box.plotly.purge(box); }, 1000);
  };
}
