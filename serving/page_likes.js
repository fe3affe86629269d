// What a new person says to like: one group of boxes for each attribute that the items can be picked by.

import {get, post} from "./page_service.js";
import {made} from "./page_slate.js";

export class LikesForm {
  // `onSaved(count)` is called once what was picked is stored.
  constructor(details, onSaved) {
    this.details = details;
    this.form = details.querySelector("form");
    this.groups = details.querySelector(".groups");
    this.error = details.querySelector("[role=alert]");
    this.onSaved = onSaved;
    this.person = "";
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.save();
    });
    this.form.addEventListener("change", () => this.refuse(""));
  }

  // The form of one person; nothing where the person has done enough, or there is nothing to pick by.
  async show(id, isNew) {
    const isOther = id !== this.person;
    if (isNew && (isOther || this.details.hidden)) await this.fill(id);
    const isOffered = isNew && this.groups.children.length > 0;
    if (isOffered && (isOther || this.details.hidden)) this.details.open = !this.hasDeclared;
    this.details.hidden = !isOffered;
    this.person = id;
  }

  async fill(id) {
    const {offered, declared} = await get("/page/preferences", [["user_id", id]]);
    this.items = declared.items;
    this.hasDeclared = Object.values(declared.attributes).some((values) => values.length > 0);
    this.groups.replaceChildren(...offered.map(({attribute, values}) => made("fieldset", {},
      made("legend", {text: words(attribute)}),
      ...values.map((value) => box(attribute, value, (declared.attributes[attribute] ?? []).includes(value))))));
    this.refuse("");
  }

  async save() {
    const attributes = {};
    for (const {name, value} of this.form.querySelectorAll("input:checked")) (attributes[name] ??= []).push(value);
    const count = Object.values(attributes).flat().length;
    if (!count && !this.hasDeclared) {
      this.refuse("Pick at least one thing that you like.");
      this.form.querySelector("input").focus();
      return;
    }
    try {
      await post("/preferences", {user_id: this.person, items: this.items, attributes});
      this.hasDeclared = count > 0;
      this.refuse("");
    } catch (error) {
      this.refuse(`Nothing was saved: ${error.message}`);
      return;
    }
    // On a phone the slate stands below the form, so the form makes room.
    this.details.open = false;
    this.details.querySelector("summary").focus();
    await this.onSaved(count);
  }

  refuse(sentence) {
    this.error.textContent = sentence;
  }
}

function box(attribute, value, isChecked) {
  const input = made("input", {type: "checkbox", name: attribute, value});
  input.checked = isChecked;
  return made("label", {className: "box"}, input, made("span", {text: value}));
}

function words(name) {
  const spaced = name.replaceAll("_", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}
