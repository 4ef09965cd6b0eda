// All jobs, the newest first.

import { badge, draw, el, row, rowgroup, seconds, table, time } from "./dom.js";

const STATUSES = ["PENDING", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"];
const COLUMNS = ["Job", "Type", "Status", "Submitted", "Took"];
/** The page size of the lab's list. */
const PAGE_JOBS = 100;

function link(parameters) {
  const set = Object.entries(parameters).filter(([, value]) => value);
  const query = new URLSearchParams(set).toString();
  return query ? `#/jobs?${query}` : "#/jobs";
}

export function jobsView(query) {
  const status = query.get("status");
  const before = query.get("before");
  const filters = el("nav", { "aria-label": "Jobs by status", class: "filters" });
  const body = rowgroup();
  const jobs = table("Jobs", COLUMNS, body);
  const none = el("p", { class: "none", hidden: true });
  const pages = el("nav", { "aria-label": "More jobs", class: "pages" });
  const rows = new Map();

  function filterLink(name, count, chosen) {
    const current = name === undefined ? !chosen : name === chosen;
    const text = name === undefined ? "All" : name.replace("_", " ").toLowerCase();
    return el("a", { href: link({ status: name }), "aria-current": current ? "true" : undefined }, `${text} ${count}`);
  }

  function rowOf(job) {
    if (!rows.has(job.id)) {
      const number = el("a", { href: `#/jobs/${job.id}` }, `Job ${job.id}`);
      rows.set(job.id, row(COLUMNS, [number, job.type, badge(job.status), time(job.created_at), ""]));
    }
    const shown = rows.get(job.id);
    draw(shown.cells[2], job.status, badge);
    const ended = !["PENDING", "IN_PROGRESS"].includes(job.status);
    draw(shown.cells[4], ended && seconds(job.created_at, job.updated_at), (took) => took || "–");
    return shown;
  }

  function receive(state) {
    const all = Object.values(state.counts).reduce((sum, count) => sum + count, 0);
    draw(filters, state.counts, (counts) => [
      filterLink(undefined, all, status),
      ...STATUSES.filter((name) => counts[name] || name === status).map((name) =>
        filterLink(name, counts[name] ?? 0, status),
      ),
    ]);
    const wanted = state.jobs.map(rowOf);
    // Do not touch rows that stay: one may have the focus.
    wanted.forEach((shown, index) => {
      if (body.rows[index] !== shown) body.insertBefore(shown, body.rows[index] ?? null);
    });
    while (body.rows.length > wanted.length) body.lastChild.remove();
    jobs.hidden = wanted.length === 0;
    none.hidden = wanted.length > 0;
    draw(none, all, () =>
      all === 0
        ? ["No job has been submitted yet. ", el("a", { href: "#/submit" }, "Submit one")]
        : "There are no jobs with this status.",
    );
    const oldest = state.jobs.at(-1)?.id;
    draw(pages, [before, state.jobs.length === PAGE_JOBS && oldest], ([later, older]) => [
      later && el("a", { href: link({ status }) }, "Newest jobs"),
      older && el("a", { href: link({ status, before: older }) }, "Older jobs"),
    ]);
  }

  return { title: "Jobs", content: [filters, jobs, none, pages], shows: { status, before }, receive };
}
