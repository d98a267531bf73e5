// The review page without reloads, and by keyboard. Without this script every button still works.

const form = document.getElementById("review");
const cards = [...document.querySelectorAll(".card")];
const problem = document.getElementById("problem");
let current = -1;
let passed = []; // cards that were decided by keys since the person last moved: "u" goes back to them

const tick = (card) => card.querySelector(".pick input");
const selected = () => cards.filter((card) => tick(card).checked);

function showSelected() {
  document.getElementById("selected").textContent = `${selected().length} selected`;
}

function moveTo(index) {
  if (!cards.length) return;
  cards[current]?.classList.remove("current");
  current = Math.max(0, Math.min(cards.length - 1, index));
  const card = cards[current];
  card.classList.add("current");
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

function columns() {
  const top = cards[0]?.offsetTop;
  const wrapped = cards.findIndex((card) => card.offsetTop !== top);
  return wrapped < 0 ? cards.length : wrapped;
}

function tell(text) {
  problem.textContent = text;
  problem.hidden = !text;
  if (text) problem.scrollIntoView({ block: "nearest" });
}

function show(decision) {
  const card = cards.find((each) => each.dataset.id === decision.row_id);
  if (!card) return;
  for (const [status, change] of [[card.dataset.status, -1], [decision.status, 1]]) {
    const count = document.querySelector(`[data-count="${status}"]`);
    count.textContent = Number(count.textContent) + change;
  }
  card.dataset.status = decision.status;
  card.querySelector(".decided").replaceChildren(...words(decision));
  const label = decision.corrected_label ?? card.dataset.said;
  for (const button of card.querySelectorAll(".labels button"))
    button.classList.toggle("counts-as", button.dataset.label === label);
  tick(card).checked = false;
}

function words(decision) {
  const bold = document.createElement("b");
  const reason = document.createElement("span");
  reason.className = "quiet";
  const done = { accepted: `Accepted as ${decision.corrected_label}`, rejected: "Rejected", pending: "Undone" };
  bold.textContent = `${done[decision.status]} by ${decision.by}`;
  reason.textContent = decision.reason;
  return decision.reason ? [bold, " ", reason] : [bold];
}

let sent = Promise.resolve();
let waiting = 0;

// One after the other: what was pressed last must be recorded last.
function decide(action) {
  const fields = new FormData(form);
  fields.set("do", action);
  waiting += 1;
  sent = sent.then(() => send(fields)).then(() => { waiting -= 1; });
}

addEventListener("beforeunload", (event) => {
  if (waiting) event.preventDefault();  // the browser then asks whether to leave
});

async function send(fields) {
  try {
    const answer = await fetch(form.action, { method: "POST", body: fields, headers: { Accept: "application/json" } });
    const body = await answer.json();
    if (!answer.ok) return tell(body.detail);
    tell("");
    body.decisions.forEach(show);
    showSelected();
    const [first, ...others] = body.decisions;
    const said = others.length ? `${body.decisions.length} rows` : `${first.status} ${first.corrected_label ?? ""}`;
    document.getElementById("said").textContent = said;
  } catch {
    tell("The server cannot be reached, so nothing was decided. Try again.");
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const button = event.submitter;
  if (!button) return;
  const card = button.closest(".card");
  if (card) moveTo(cards.indexOf(card));
  if (!card && !selected().length) return tell("Select rows first: by the box on a photo, or with the space bar.");
  decide(button.value);
});
form.addEventListener("change", showSelected);
form.addEventListener("focusin", (event) => {
  const index = cards.indexOf(event.target.closest(".card"));
  if (index >= 0 && index !== current) {
    passed = [];
    cards[current]?.classList.remove("current");
    current = index;
    cards[current].classList.add("current");
  }
});

const keys = {
  j: () => goTo(current + 1),
  k: () => goTo(current - 1),
  ArrowRight: () => goTo(current + 1),
  ArrowLeft: () => goTo(current - 1),
  ArrowDown: () => goTo(current < 0 ? 0 : current + columns()),
  ArrowUp: () => goTo(current - columns()),
  a: () => act("accept"),
  r: () => act("reject"),
  u: undo,
  A: () => bulk("accept"),
  " ": () => {
    if (current < 0) return;
    tick(cards[current]).checked = !tick(cards[current]).checked;
    showSelected();
  },
  Escape: () => {
    for (const card of cards) tick(card).checked = false;
    showSelected();
  },
};

function goTo(index) {
  passed = [];
  moveTo(index);
}

function act(action) {
  if (current < 0) return;
  decide(`${action}:${cards[current].dataset.id}`);
  pass();
}

function pass() {
  passed.push(current);
  moveTo(current + 1);
}

/** Undo what was just decided, and go back to it; else the decision about the card that one is at. */
function undo() {
  const index = passed.pop() ?? current;
  if (index < 0) return;
  decide(`undo:${cards[index].dataset.id}`);
  moveTo(index);
}

function bulk(action) {
  passed = [];
  form.querySelector(`.bulk button[value=${action}]`).click();
}

function relabel(number) {
  const button = cards[current]?.querySelectorAll(".labels button")[number - 1];
  if (!button) return;
  decide(button.value);
  pass();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("select, input:not([type=checkbox])");
  const pressing = event.target.matches("button, a, input") && (event.key === " " || event.key === "Enter");
  if (typing || pressing) {
    if (typing && event.key === "Escape") event.target.blur();
    return;
  }
  const key = keys[event.key];
  if (!key && !/^[1-9]$/.test(event.key)) return;
  event.preventDefault();
  if (key) key();
  else relabel(Number(event.key));
});
showSelected();
