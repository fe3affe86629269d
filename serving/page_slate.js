// The slate as a list of cards. A card is made anew for each answer; what changed since the last one is marked.

const LABELS = new Map(Object.entries({
  view: "View", click: "Click", play: "Play", rating: "Rated it", like: "Like", cart: "Add to cart", purchase: "Buy",
  hide: "Hide", dislike: "Dislike",
}));

export function made(tag, {text, className, ...rest} = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  for (const [name, value] of Object.entries(rest)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function labelOf(type) {
  const words = type.replaceAll("_", " ");
  return LABELS.get(type) ?? words.charAt(0).toUpperCase() + words.slice(1);
}

export function titleOf(attributes, id) {
  const title = attributes?.title ?? attributes?.name;
  return title ? [title].flat().join(" ") : `Item ${id}`;
}

// Everything declared of an item but its title, in one line.
export function aboutOf(attributes) {
  return Object.entries(attributes ?? {})
    .filter(([name, value]) => !["title", "name"].includes(name) && value !== null && value !== "")
    .map(([, value]) => [value].flat().join(", "))
    .filter(Boolean)
    .join(" · ");
}

export function changesOf(items, before) {
  const places = new Map(before.map((item) => [item.item_id, item.rank]));
  return new Map(items.map((item) => {
    const place = places.get(item.item_id);
    return [item.item_id, place === undefined ? "new" : place - item.rank];
  }));
}

// `eventTypes` rise in weight and end with those that suppress; `act(type, item, title)` is called for a press.
export function card(item, {attributes, change, eventTypes, act}) {
  const title = titleOf(attributes, item.item_id);
  const heading = made("h3", {text: title});
  if (change === "new") heading.append(" ", made("span", {className: "pill", text: "New"}));
  if (change > 0) heading.append(" ", moved("▲", change, `up ${change}`));
  if (change < 0) heading.append(" ", moved("▼", -change, `down ${-change}`));
  const score = item.score === null ? "" : ` · score ${item.score.toFixed(3)}`;
  const chance = item.propensity < 1 ? ` · shown here with probability ${item.propensity.toFixed(3)}` : "";
  const text = made("div", {}, heading);
  const about = aboutOf(attributes);
  if (about) text.append(made("p", {className: "about", text: about}));
  if (item.reason) text.append(made("p", {className: "reason", text: sentence(item.reason)}));
  text.append(made("p", {className: "made", text: `From ${item.source}${score}${chance}`}));
  const acts = made("div", {className: "acts", role: "group", "aria-label": `What to do with ${title}`});
  eventTypes.forEach((type, place) => {
    const suppresses = type === "hide" || type === "dislike";
    const className = place === 0 ? "first" : suppresses ? "quiet" : "";
    acts.append(button(labelOf(type), title, className, type, () => act(type, item, title)));
  });
  acts.append(button("Similar", title, "quiet", "similar", () => act("similar", item, title)));
  const element = made("li", {className: change === "new" ? "card fresh" : "card", "data-id": item.item_id});
  element.append(made("div", {className: "rank", text: item.rank, "aria-hidden": "true"}), text, acts);
  return element;
}

function moved(arrow, places, words) {
  return made("span", {className: "pill"},
    made("span", {"aria-hidden": "true", text: `${arrow} ${places}`}), made("span", {className: "spoken", text: words}));
}

function button(label, title, className, type, onPress) {
  // The name begins with what is seen, so that who speaks to the page is understood.
  const name = `${label}: ${title}`;
  const element = made("button", {type: "button", className, text: label, "data-type": type, "aria-label": name});
  element.addEventListener("click", onPress);
  return element;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
