// The page: who is asked for, what was answered, and what was done about it.

import {LikesForm} from "./page_likes.js";
import {PeoplePicker, lineOf} from "./page_people.js";
import {Clock, get, itemsOf, post} from "./page_service.js";
import {card, changesOf, labelOf, made, titleOf} from "./page_slate.js";

const element = (id) => document.getElementById(id);
const about = await get("/page/about").catch((error) => {
  report(`The page cannot be opened: ${error.message}`, true);
  throw error;
});
const clock = new Clock(about);
const day = new Intl.DateTimeFormat("en-GB", {day: "numeric", month: "short", year: "numeric", timeZone: "UTC"});

// `items` is the slate that is shown.
let person = {id: "", items: [], requestId: null};

element("served").textContent = `Version ${about.model_version}, ${about.variant}`;
element("k").max = about.max_k;
element("moment-hint").textContent = clock.isPast
  ? "The data end in the past, so the page's clock runs on from there." : "Empty means now.";
if (clock.isPast) element("moment").value = clock.now().toISOString().slice(0, 19);

function report(text, isWarning = false) {
  element("status").textContent = text;
  element("status").classList.toggle("warn", isWarning);
}

async function attempt(work) {
  element("slate").setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    report(`No answer: ${error.message}`, true);
  } finally {
    element("slate").setAttribute("aria-busy", "false");
  }
}

async function showHistory() {
  const {items, hidden, read, is_new: isNew} = await get("/page/history", [["user_id", person.id]]);
  await likes.show(person.id, isNew);
  const past = [...hidden.toReversed().map((id) => ({item_id: id, at: null})), ...items];
  const shown = await itemsOf(past.map((row) => row.item_id));
  element("history").replaceChildren(...past.map(({item_id: id, at}) => made("li", {},
    made("span", {text: titleOf(shown.get(id), id)}),
    at === null ? made("small", {text: "hidden"}) : made("time", {datetime: at, text: day.format(new Date(at))}))));
  element("history-hint").textContent = !read ? "The feature store does not answer."
    : past.length ? "Newest first: what the next slate goes by." : "Nothing is known yet: a new person.";
}

async function ask(before) {
  await showHistory();
  const body = {user_id: person.id, k: Number(element("k").value), context: clock.context(), explain: true};
  const {answer, milliseconds} = await post("/recommend", body);
  const attributes = await itemsOf(answer.items.map((item) => item.item_id));
  const changes = before ? changesOf(answer.items, before) : new Map();
  person.items = answer.items;
  person.requestId = answer.request_id;
  showFacts(answer, milliseconds);
  element("cards").replaceChildren(...answer.items.map((item) => card(item, {
    attributes: attributes.get(item.item_id), change: changes.get(item.item_id), eventTypes: about.event_types, act,
  })));
  return {count: answer.items.length, fresh: [...changes.values()].filter((change) => change === "new").length};
}

function showFacts(answer, milliseconds) {
  const isWhole = answer.degraded.length === 0;
  const fact = (name, value, className) => made("div", {}, made("dt", {text: name}), made("dd", {text: value, className}));
  element("facts").replaceChildren(
    fact("Model", `version ${answer.model_version}`), fact("Variant", answer.variant),
    fact("Round trip", `${milliseconds.toFixed(1)} ms`),
    fact("Degraded parts", isWhole ? "none" : answer.degraded.join(", "), isWhole ? "" : "warn"),
    ...(clock.isPast ? [fact("As of", day.format(clock.now()))] : []));
}

function choose(id) {
  person = {id, items: [], requestId: null};
  history.replaceState(null, "", `?${new URLSearchParams([["user_id", id]])}`);
  element("slate-title").textContent = `For user ${id}`;
  report("Asking …");
  return attempt(async () => {
    const {people} = await get("/page/people", [["q", id]]);
    const known = people.find((someone) => someone.user_id === id);
    element("person-about").textContent = known ? lineOf(known) : "Nobody is known by this id.";
    const {count} = await ask(null);
    report(count ? `${count} items, the best first.` : "An empty slate.");
  });
}

function act(type, item, title) {
  return type === "similar" ? showSimilar(item, title) : attempt(async () => {
    const place = [...element("cards").children].findIndex((shown) => shown.dataset.id === item.item_id);
    const event = {user_id: person.id, item_id: item.item_id, event_type: type, timestamp: clock.now().toISOString(),
      request_id: person.requestId, position: item.rank};
    await post("/events", [event]);
    const {count, fresh} = await ask(person.items);
    focusAfter(item.item_id, type, place);
    report(`${labelOf(type)}: ${title}. The slate has ${count} items, ${fresh} of them new.`);
  });
}

// The button that was pressed is gone with its card: the same one of the same item, else of the item in its place.
function focusAfter(id, type, place) {
  const cards = [...element("cards").children];
  const next = cards.find((shown) => shown.dataset.id === id) ?? cards[Math.min(place, cards.length - 1)];
  (next?.querySelector(`[data-type="${CSS.escape(type)}"]`) ?? element("slate")).focus();
}

function showSimilar(item, title) {
  return attempt(async () => {
    const {answer} = await post("/similar", {item_id: item.item_id, k: Math.min(10, about.max_k)});
    const attributes = await itemsOf(answer.items.map((similar) => similar.item_id));
    element("similar-title").textContent = `Similar to ${title}`;
    element("similar-items").replaceChildren(...answer.items.map(({item_id: id}) =>
      made("li", {text: titleOf(attributes.get(id), id)})));
    element("similar").showModal();
  });
}

element("options").addEventListener("submit", (event) => {
  event.preventDefault();
  if (element("moment").value) clock.set(new Date(`${element("moment").value}Z`));
  attempt(async () => {
    const {count} = await ask(person.items);
    report(`${count} items, the best first.`);
  });
});

const likes = new LikesForm(element("likes"), (count) => attempt(async () => {
  const {count: shown, fresh} = await ask(person.items);
  const kept = count ? `${count} of your likes count` : "None of your likes counts any more";
  report(`${kept}. The slate has ${shown} items, ${fresh} of them new.`);
}));

// A first look shows a slate and not an empty form.
const picker = new PeoplePicker(element("person"), element("people"), choose);
const {people} = await get("/page/people");
picker.pick(new URLSearchParams(location.search).get("user_id") || people[0]?.user_id || "somebody new");
