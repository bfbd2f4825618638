"use strict";

const figures = JSON.parse(document.getElementById("figures").textContent);
const options = { responsive: true, displayModeBar: false };
const drawn = [];

for (const place of document.querySelectorAll(".plot")) {
  const figure = figures[place.dataset.plot];
  const canvas = place.querySelector(".canvas");
  const hidden = new Set();
  let shown = figure.first;

  function draw() {
    const view = figure.views[shown] || { data: [], layout: {} };
    const count = Math.max(figure.data.length, view.data.length);
    const data = Array.from({ length: count }, (_, index) => {
      const trace = { ...figure.data[index], ...view.data[index] };
      return hidden.has(trace.legendgroup) ? { ...trace, visible: false } : trace;
    });
    const layout = structuredClone(figure.layout);
    for (const [key, value] of Object.entries(view.layout)) layout[key] = { ...layout[key], ...value };
    // What the reader has zoomed into belongs to one view.
    layout.uirevision = shown;
    Plotly.react(canvas, data, layout, options);
    for (const button of place.querySelectorAll("[data-view]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.view) === shown));
    }
    const choice = place.querySelector("select");
    if (choice) choice.value = String(shown);
  }

  function show(view) {
    shown = Math.min(Math.max(view, 0), figure.views.length - 1);
    draw();
  }

  for (const button of place.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => show(Number(button.dataset.view)));
  }
  for (const button of place.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => show(shown + Number(button.dataset.step)));
  }
  place.querySelector("select")?.addEventListener("change", (event) => show(Number(event.target.value)));
  const legend = document.querySelector(`[data-legend="${place.dataset.plot}"]`);
  for (const button of legend?.querySelectorAll("button") ?? []) {
    button.addEventListener("click", () => {
      const label = button.dataset.label;
      if (!hidden.delete(label)) hidden.add(label);
      button.setAttribute("aria-pressed", String(!hidden.has(label)));
      draw();
    });
  }
  const views = place.querySelector(".views");
  if (views) views.hidden = false;
  draw();
  drawn.push(canvas);
}

// Paper is narrower than a screen, and figures do not learn of it by themselves.
addEventListener("beforeprint", () => drawn.forEach((canvas) => Plotly.relayout(canvas, { width: 680 })));
addEventListener("afterprint", () => drawn.forEach((canvas) => Plotly.relayout(canvas, { width: null, autosize: true })));
