// Which view is shown: the address after `#` says it.

import { el } from "./dom.js";
import { live } from "./lab.js";
import { dialsView } from "./dials.js";
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
    case "/dials":
      return dialsView();
    default:
      return jobsView(query);
  }
}

function countDials(faults) {
  const count = document.querySelector("#dial-count");
  const active = faults.filter((dial) => dial.count === undefined || dial.fired < dial.count).length;
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
  // Whoever follows a link without seeing the page is told where it led; at the start the page itself is told.
  if (event) heading.focus();
  leave = live(view.shows ?? {}, (state) => {
    countDials(state.faults);
    view.receive?.(state);
  });
}

window.addEventListener("hashchange", show);
show();
