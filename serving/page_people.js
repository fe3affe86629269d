// The search for a person: a combobox with a list, after the pattern of the ARIA Authoring Practices Guide.

import {get} from "./page_service.js";

export function lineOf({about, events}) {
  const counted = events === null ? "" : `${events} ${events === 1 ? "event" : "events"}`;
  return [about, counted].filter(Boolean).join(" · ");
}

export class PeoplePicker {
  constructor(input, list, onPick) {
    this.input = input;
    this.list = list;
    this.onPick = onPick;
    this.picked = "";
    this.asked = 0;
    this.active = -1;
    input.addEventListener("input", () => this.search(input.value));
    input.addEventListener("click", () => this.search(""));
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("focus", () => input.select());
    input.addEventListener("blur", () => {
      this.close();
      input.value = this.picked;
    });
    // Before the blur that a press on the list causes.
    list.addEventListener("mousedown", (event) => event.preventDefault());
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.pick(option.dataset.id);
    });
  }

  async search(text) {
    const asked = ++this.asked;
    const {people} = await get("/page/people", [["q", text]]).catch(() => ({people: []}));
    // An answer that a later key has overtaken, or that comes after the list was left.
    if (asked !== this.asked || document.activeElement !== this.input) return;
    const typed = text.trim();
    const isNew = typed && !people.some((person) => person.user_id === typed);
    const asNew = {user_id: typed, about: "Ask as a new person", events: null};
    this.show(isNew ? [...people, asNew] : people);
  }

  show(people) {
    this.list.replaceChildren(...people.map((person, place) => {
      const option = document.createElement("li");
      option.id = `person-${place}`;
      option.role = "option";
      option.dataset.id = person.user_id;
      option.setAttribute("aria-selected", "false");
      const about = document.createElement("small");
      about.textContent = lineOf(person);
      option.append(person.user_id, about);
      return option;
    }));
    this.list.hidden = people.length === 0;
    this.input.setAttribute("aria-expanded", String(people.length > 0));
    this.mark(-1);
  }

  mark(place) {
    const options = [...this.list.children];
    this.active = place;
    options.forEach((option, i) => option.setAttribute("aria-selected", String(i === place)));
    if (place < 0) {
      this.input.removeAttribute("aria-activedescendant");
    } else {
      this.input.setAttribute("aria-activedescendant", options[place].id);
      options[place].scrollIntoView({block: "nearest"});
    }
  }

  key(event) {
    const count = this.list.hidden ? 0 : this.list.children.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!count) return this.search("");
      const down = event.key === "ArrowDown";
      this.mark(down ? (this.active + 1) % count : (this.active <= 0 ? count : this.active) - 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const id = count && this.active >= 0 ? this.list.children[this.active].dataset.id : this.input.value.trim();
      if (id) this.pick(id);
    } else if (event.key === "Escape") {
      this.close();
      this.input.value = this.picked;
    }
    return undefined;
  }

  pick(id) {
    this.picked = id;
    this.input.value = id;
    this.close();
    this.onPick(id);
  }

  close() {
    this.asked += 1;
    this.show([]);
  }
}
