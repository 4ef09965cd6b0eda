// Requests to the lab.

/** Why the lab refused a request: its message, and the errors in the payload with their places. */
export class Refusal extends Error {
  constructor(message, errors = []) {
    super(message);
    this.errors = errors;
  }
}

export async function ask(method, path, body) {
  let answer;
  try {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refusal("The lab does not respond. Is it still running?");
  }
  const text = await answer.text();
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    content = undefined;
  }
  if (!answer.ok) {
    const message = content?.message ?? content?.error ?? (text || `The lab responded with ${answer.status}.`);
    throw new Refusal(message, content?.errors);
  }
  return content;
}

/**
 * Calls `receive` with the state to show, now and after every change, until the returned function is called. A hidden
 * page does not listen: a browser has six connections for one server, and each page that listens holds one.
 */
export function live(view, receive) {
  const connection = document.querySelector("#connection");
  const query = new URLSearchParams(Object.entries(view).filter(([, value]) => value));
  let source;
  const listen = () => {
    source?.close();
    source = undefined;
    if (document.hidden) return;
    source = new EventSource(`/lab/live?${query}`);
    source.addEventListener("open", () => (connection.textContent = ""));
    source.addEventListener("error", () => (connection.textContent = "The lab does not respond; trying again…"));
    source.addEventListener("message", (event) => receive(JSON.parse(event.data)));
  };
  listen();
  document.addEventListener("visibilitychange", listen);
  return () => {
    document.removeEventListener("visibilitychange", listen);
    source?.close();
  };
}
