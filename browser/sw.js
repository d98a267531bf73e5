// The service worker: after the first visit the page needs no connection.
//
// files.js, which the build writes, lists every file with its hash. A file is kept under its hash, so an unchanged one
// is never fetched twice, and fetched with it, so that files of two versions never mix. The runtime and the network,
// which are most of the bytes, are kept when they are first used.

/** @typedef {{ FILES: Record<string, string> }} Listed SHA-256 in base64 by path below the page's folder */

const worker = /** @type {ServiceWorkerGlobalScope & Listed} */ (/** @type {unknown} */ (self));
importScripts("files.js");

const CACHE = "catdog";
const LARGE = /^(ort|onnx)\//;
const SCOPE = new URL("./", worker.location.href);

/** @param {string} path */
function keyOf(path) {
  return `${SCOPE}${path}?${encodeURIComponent(worker.FILES[path])}`;
}

/** @param {string} path */
async function kept(path) {
  const cache = await caches.open(CACHE);
  const found = await cache.match(keyOf(path));
  if (found) return found;
  const response = await fetch(keyOf(path), { integrity: `sha256-${worker.FILES[path]}` });
  if (response.ok) await cache.put(keyOf(path), response.clone());
  return response;
}

async function install() {
  const small = Object.keys(worker.FILES).filter((path) => !LARGE.test(path));
  const responses = await Promise.all(small.map(kept));
  if (!responses.every(({ ok }) => ok)) throw new Error("the page's files are incomplete");
}

async function activate() {
  const cache = await caches.open(CACHE);
  const wanted = new Set(Object.keys(worker.FILES).map(keyOf));
  for (const request of await cache.keys()) if (!wanted.has(request.url)) await cache.delete(request);
  await worker.clients.claim();
}

/** @param {FetchEvent} event */
function answer(event) {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || !url.href.startsWith(SCOPE.href)) return;
  const path = url.pathname.slice(SCOPE.pathname.length) || "index.html";
  if (path in worker.FILES) event.respondWith(kept(path));
}

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(activate()));
worker.addEventListener("fetch", answer);
