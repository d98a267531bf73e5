// When the server refuses an event or is gone: a sentence, where Gradio would show nothing, or load the page anew.
import { problemOf, tell, texts } from "./photo.js";

const EVENT = "/gradio_api/run/predict";
const NEW_ANSWER = ["photo", "url"]; // what asks for one
const { fetch } = window;

window.fetch = async (...asked) => {
  const url = asked[0] instanceof Request ? asked[0].url : String(asked[0]);
  if (!url.endsWith(EVENT)) return fetch(...asked);
  const words = await texts;
  let answer;
  try {
    answer = await fetch(...asked);
  } catch (problem) {
    if (!(problem instanceof TypeError)) throw problem; // what fetch raises without a network
    answer = Response.json({ error: "unreachable", detail: words.unreachable }, { status: 503 });
  }
  const isNew = asksForAnswer(asked[1]?.body);
  if (isNew) document.body.classList.toggle("unanswered", !answer.ok);
  if (!answer.ok) tell(problemOf(await answer.clone().json().catch(() => ({})), words));
  else if (isNew) tell("");
  return answer;
};

/** Whether an event is about another photo than the one that was answered. */
function asksForAnswer(body) {
  const { trigger_id: trigger } = JSON.parse(body ?? "{}");
  const { components = [] } = window.gradio_config ?? {};
  return NEW_ANSWER.includes(components.find(({ id }) => id === trigger)?.props.elem_id);
}
