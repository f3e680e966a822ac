// What the pages do beside htmx: ask before what can't be undone, jump to the search field, draw the plots, come back to the sign-in.
"use strict";

document.addEventListener("submit", (event) => {
  const asked = event.submitter && event.submitter.dataset.ask;
  if (asked && !window.confirm(asked)) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if (event.key !== "/" || typing || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const field = document.querySelector("#criteria input:not([type=hidden])");
  if (field) field.focus();
  else window.location.assign("/console/search");
});

const COLOURS = ["#1a5490", "#1a7f4b", "#b3261e"];
const COLUMNS = { rate: ["calls", "settled", "failed"], latency: ["p50", "p95"] };
const drawn = new Map();
const clock = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Shanghai", hour: "2-digit", minute: "2-digit" });
const time = (seconds) => (seconds == null ? "--" : clock.format(new Date(seconds * 1000)));

function draw(box, data) {
  const rows = [data.at, ...COLUMNS[box.dataset.plot].map((name) => data[name])];
  const known = drawn.get(box);
  if (known) {
    known.setData(rows);
    return;
  }
  const labels = JSON.parse(box.dataset.labels);
  const series = labels.map((label, place) => ({ label, stroke: COLOURS[place], width: 1.5, spanGaps: true }));
  const options = {
    width: box.clientWidth || 500,
    height: 180,
    series: [{ label: box.dataset.time, value: (_, seconds) => time(seconds) }, ...series],
    axes: [{ values: (_, splits) => splits.map(time) }, {}],
    cursor: { drag: { x: false } },
  };
  drawn.set(box, new uPlot(options, rows, box));
}

async function plot() {
  const boxes = document.querySelectorAll("[data-plot]");
  if (!boxes.length) return;
  const answer = await fetch("/console/live/trend.json", { headers: { "HX-Request": "true" } });
  if (!answer.ok) return;
  const data = await answer.json();
  for (const box of boxes) draw(box, data);
}

document.addEventListener("DOMContentLoaded", () => {
  plot();
  if (document.querySelector("[data-plot]")) window.setInterval(plot, 30000);
});
