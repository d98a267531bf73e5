// Asking the server, and what it means if it does not answer: one kind of failure, one sentence for it.

/** The words of these scripts, in the visitor's language. They come with the page, or are asked for again. */
let loading;
export function texts() {
  loading ??= fetch("./page/texts.json")
    .then((response) => (response.ok ? response.json() : Promise.reject(new Error(response.statusText))))
    .catch((problem) => {
      loading = undefined;
      throw problem;
    });
  return loading;
}
texts().catch(() => undefined); // whoever needs them asks again

/** Why there is no answer: `code` is the server's, or "unreachable". */
export class Failure extends Error {
  constructor(code, detail = "", waitS = 0) {
    super(detail);
    this.code = code;
    this.waitS = waitS;
  }

  /** Whether the same request may succeed later. */
  get passes() {
    return ["unreachable", "busy", "no_model", "rate_limited", "feedback_failed", "too_slow"].includes(this.code);
  }
}

/** What to say of a failure: the page's sentence, else the server's own. */
export async function sentence(problem) {
  const words = await texts().catch(() => ({}));
  if (!(problem instanceof Failure)) {
    console.error(problem);
    return words.unexpected;
  }
  if (problem.code === "unreachable") return words.unreachable;
  return words[`problem_${problem.code}`] ?? (problem.message || words.unexpected);
}

/** Send a request and read the JSON that comes back; `onProgress` is told which share of the body has been sent. */
export function ask(path, { method = "POST", json, body = json && JSON.stringify(json), type, onProgress } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    const kind = json ? "application/json" : type;
    if (kind) request.setRequestHeader("Content-Type", kind);
    if (onProgress) request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(total ? loaded / total : 1));
    request.addEventListener("error", () => reject(new Failure("unreachable")));
    request.addEventListener("load", () => {
      const said = parsed(request);
      if (request.status < 300 && (said || request.status === 204)) resolve(said);
      else reject(failureOf(request, said));
    });
    request.send(body ?? null);
  });
}

const REPLICAS = 5;

/** Ask for what only one of several replicas has: a proxy that takes turns comes to it when it is asked again. */
export async function askEach(path, options) {
  for (let left = REPLICAS; ; left -= 1) {
    try {
      return await ask(path, options);
    } catch (problem) {
      if (left === 1 || !(problem instanceof Failure) || problem.code !== "unknown_request") throw problem;
    }
  }
}

function parsed(request) {
  try {
    return JSON.parse(request.responseText);
  } catch {
    return null;
  }
}

/** Whatever came: our own error, or the page of a proxy that has no server behind it or allows no body of this size. */
function failureOf(request, said) {
  const waitS = Number(request.getResponseHeader("Retry-After") ?? 0);
  if (said?.error) return new Failure(said.error, said.detail, waitS);
  if (request.status === 413) return new Failure("body_too_large");
  return new Failure(request.status >= 502 ? "unreachable" : "unexpected", "", waitS);
}
