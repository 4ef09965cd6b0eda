// Shows the view that the address after `#` names.

import { el } from "./dom.js";
import { faultsView } from "./faults.js";
import { live } from "./lab.js";
import { jobView } from "./job.js";
import { jobsView } from "./jobs.js";
import { submitView } from "./submit.js";

const main = document.querySelector("#main");
let leave = () => {};

function viewOf(path, query) {
  const job = path.match(/^\/jobs\/(\d+)$/);
  if (job) return jobView(Number(job[1]), query);
  switch (path) {
    case "/submit":
      return submitView(query);
    case "/faults":
      return faultsView();
    default:
      return jobsView(query);
  }
}

function countFaults(faults) {
  const count = document.querySelector("#fault-count");
  const active = faults.filter((fault) => fault.count === undefined || fault.fired < fault.count).length;
  count.hidden = active === 0;
  count.textContent = `${active} set`;
}

function show(event) {
  leave();
  const [path, query] = location.hash.slice(1).split("?");
  const view = viewOf(path, new URLSearchParams(query));
  const heading = el("h1", { tabindex: "-1" }, view.title);
  document.title = `${view.title} · reefguide-lab`;
  for (const link of document.querySelectorAll("nav a")) {
    const here = `#${path || "/jobs"}`.startsWith(link.hash);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.replaceChildren(heading, ...view.content);
  // A screen reader announces the focused heading after a link; at the start it announces the page.
  if (event) heading.focus();
  leave = live(view.shows ?? {}, (state) => {
    countFaults(state.faults);
    view.receive?.(state);
  });
}

window.addEventListener("hashchange", show);
show();
