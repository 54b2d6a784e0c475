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
    (plotly) => plotly.react(box, figure.data, themed(figure.layout, box), data.config),
    (error) => { box.textContent = error.message; },
  );
  return () => {
    // also called between two updates: only a box that left the page is taken apart
    setTimeout(() => { if (!box.isConnected && window.Plotly) window.Plotly.purge(box); }, 1000);
  };
}
