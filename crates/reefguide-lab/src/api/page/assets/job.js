// One job: its payload, its assignments, results and outputs.

import { badge, draw, el, json, seconds, time } from "./dom.js";
import { ask } from "./lab.js";
import { download, isLog, outputsTable, preview } from "./outputs.js";

function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== undefined);
  return el("dl", {}, known.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function text(label, value) {
  return el("pre", { tabindex: "0", "aria-label": label }, json(value));
}

function assignment(held, outputs) {
  const result = held.result
    ? [el("h3", {}, "Result"), text("Result", held.result.result_payload)]
    : [el("p", { class: "none" }, "No result has been reported yet.")];
  const files = outputs.length
    ? [el("h3", {}, "Outputs"), outputsTable(outputs)]
    : [el("p", { class: "none" }, "No output is stored.")];
  return el(
    "section",
    {},
    el("h2", {}, `Assignment ${held.id}`),
    facts([
      ["Worker", held.ecs_task_arn || "(unknown)"],
      ["Claimed", time(held.created_at)],
      ["Reported", held.completed_at ? time(held.completed_at) : undefined],
      ["Lease ends", held.completed_at ? undefined : time(held.expires_at)],
      ["Location", el("code", {}, held.storage_uri)],
    ]),
    result,
    files,
  );
}

function request(record) {
  const good = record.status !== null && record.status < 400;
  return el(
    "li",
    {},
    el("time", { datetime: record.at, title: record.at }, new Date(record.at).toLocaleTimeString()),
    " ",
    el("span", { class: good ? "good" : "bad" }, record.status === null ? "cut" : String(record.status)),
    ` ${record.ms} ms `,
    el("code", {}, `${record.method} ${record.path}`),
    record.fault && [" ", el("strong", { class: "bad" }, `fault: ${record.fault}`)],
  );
}

function requestLog(requests) {
  return [
    el("h3", {}, "Requests"),
    requests.length
      ? el("ol", { class: "requests", "aria-label": "Requests about this job" }, requests.map(request))
      : el("p", { class: "none" }, "There has been no request about this job yet."),
  ];
}

export function jobView(id, query) {
  const state = el("div", { class: "state" });
  const status = el("p", { role: "status" });
  const problem = el("p", { role: "alert" });
  const payload = el("section");
  const assignments = el("div");
  const logs = el("div");
  const requests = el("div");

  const cancel = el(
    "button",
    {
      type: "button",
      hidden: true,
      click: () =>
        ask("POST", `/lab/jobs/${id}/cancel`).then(
          () => (problem.textContent = ""),
          (error) => (problem.textContent = error.message),
        ),
    },
    "Cancel",
  );

  function receive({ job }) {
    if (!job) {
      status.textContent = `There is no job ${id}.`;
      return;
    }
    const ended = !["PENDING", "IN_PROGRESS"].includes(job.status);
    draw(status, job.status, badge);
    draw(state, [job.type, job.created_at, ended && job.updated_at], ([type, submitted, end]) =>
      facts([
        ["Type", type],
        ["Submitted", time(submitted)],
        ["Took", end ? seconds(submitted, end) : undefined],
      ]),
    );
    cancel.hidden = job.status !== "PENDING";
    draw(payload, job.input_payload, (value) => [el("h2", {}, "Payload"), text("Payload", value)]);
    draw(assignments, [job.assignments, job.outputs], ([held, outputs]) =>
      held.length
        ? held.map((one) => assignment(one, outputs[one.id]))
        : el("p", { class: "none" }, "No worker has claimed this job yet."),
    );
    const files = [...Object.values(job.outputs).flat().filter(isLog), ...job.logs];
    draw(logs, files, (all) => all.flatMap((file) => [el("h3", {}, file.path, " ", download(file)), preview(file)]));
    draw(requests, job.requests, requestLog);
  }

  const again = el("a", { href: `#/submit?like=${id}` }, "Submit one like it");
  const head = el("div", { class: "head" }, status, cancel, again);
  const same =
    query.has("same") &&
    el("p", { class: "note" }, "This job has the same type and payload as yours: the API does not create a second one.");
  const log = el("section", {}, el("h2", {}, "Log"), logs, requests);
  return {
    title: `Job ${id}`,
    content: [head, same, problem, state, payload, assignments, log].filter((part) => part),
    shows: { job: id },
    receive,
  };
}
