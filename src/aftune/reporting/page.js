"use strict";
// What a page does beside showing itself. Texts of models reach the page as text only (textContent), never as markup.
(() => {
  const PAGE_SIZE = 10;

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const score = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(4)}`;

  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  // The answers of all models, with filters, search and order.
  const answer = (model, given) => {
    const card = make("div", `candidate ${given.right ? "right" : "wrong"}`);
    const head = make("div", "head");
    const name = make("span");
    name.append(make("span", `mark mark-${model.look}`), make("strong", "", model.label));
    const verdict = make("span", "verdict", given.right ? "✓ right " : "✗ wrong ");
    const why = [given.answer === null ? null : `answer ${given.answer}`, given.reason, given.cutOff ? "cut off" : null];
    verdict.append(make("span", "", why.filter(Boolean).join(", ")));
    head.append(name, verdict);
    card.append(head, make("div", "text", given.text));
    return card;
  };

  const closed = (title, text) => {
    const details = make("details");
    const inside = make("div", "inside");
    inside.append(make("div", "text", text));
    details.append(make("summary", "", title), inside);
    return details;
  };

  const problemItem = (models, problem) => {
    const item = make("li", "problem");
    const heading = make("h3", "text", problem.question);
    const facts = make("p", "note");
    facts.append("Gold answer ", make("bdi", "gold", problem.gold), " · ", make("bdi", "", problem.id));
    if (problem.gap) facts.append(` · score gap ${score(problem.gap[0])} → ${score(problem.gap[1])}`);
    const row = make("div", "side-by-side");
    row.append(...problem.answers.map((given, place) => answer(models[place], given)));
    item.append(heading);
    if (problem.options.length) {
      const options = make("ol");
      options.type = "A";
      options.append(...problem.options.map((option) => make("li", "", option)));
      item.append(options);
    }
    item.append(facts, row);
    if (problem.reference !== null) item.append(closed("Reference", problem.reference));
    return item;
  };

  const searched = (problem) =>
    [problem.question, problem.id, problem.gold, ...problem.options, ...problem.answers.map((given) => given.text)].join("\n").toLowerCase();

  const ORDERS = {
    data: null,
    smallest: (a, b) => a.gap[1] - b.gap[1],
    widened: (a, b) => b.gap[1] - b.gap[0] - (a.gap[1] - a.gap[0]),
    narrowed: (a, b) => a.gap[1] - a.gap[0] - (b.gap[1] - b.gap[0]),
  };

  const showAnswers = async (section) => {
    const { models, problems } = await unpack(section.querySelector("template").content.textContent);
    const words = new Map(problems.map((problem) => [problem, searched(problem)]));
    const [list, count, more] = [".problems", ".count", ".more"].map((name) => section.querySelector(name));
    const [search, order] = ["input", "select"].map((name) => section.querySelector(name));
    const buttons = [...section.querySelectorAll("button[data-kind]")];
    let kind = "";
    let found = [];

    const showMore = () => {
      const shown = list.children.length;
      list.append(...found.slice(shown, shown + PAGE_SIZE).map((problem) => problemItem(models, problem)));
      const left = found.length - list.children.length;
      more.hidden = left === 0;
      more.textContent = `Show ${Math.min(left, PAGE_SIZE)} more`;
      count.textContent = `${list.children.length} of ${found.length} question${found.length === 1 ? "" : "s"} shown`;
    };
    const update = () => {
      const wanted = search.value.trim().toLowerCase();
      found = problems.filter((problem) => (!kind || problem.kinds.includes(kind)) && words.get(problem).includes(wanted));
      const compare = ORDERS[order ? order.value : "data"];
      if (compare) {
        found = [...found.filter((problem) => problem.gap).sort(compare), ...found.filter((problem) => !problem.gap)];
      }
      list.replaceChildren();
      showMore();
    };
    for (const button of buttons) {
      button.addEventListener("click", () => {
        kind = button.dataset.kind;
        for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
        update();
      });
    }
    search.addEventListener("input", update);
    order?.addEventListener("change", update);
    more.addEventListener("click", showMore);
    update();
    section.querySelector(".controls").hidden = false;
  };

  // What a point of a plot stands for, beside the pointer or, on a touch screen, beside the finger.
  const showValues = () => {
    const tip = make("div", "tip");
    tip.hidden = true;
    document.body.append(tip);
    const hide = () => (tip.hidden = true);
    document.addEventListener("pointerover", (event) => {
      const title = event.target.closest?.("svg [data-tip]");
      if (!title) return hide();
      tip.textContent = title.dataset.tip;
      tip.hidden = false;
      const left = Math.min(event.clientX + 12, document.documentElement.clientWidth - tip.offsetWidth - 8);
      tip.style.left = `${Math.max(8, left)}px`;
      tip.style.top = `${event.clientY + 16}px`;
    });
    document.addEventListener("scroll", hide, { passive: true });
  };

  // A link to a closed part opens it.
  const openTarget = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  };

  showValues();
  openTarget();
  window.addEventListener("hashchange", openTarget);
  const section = document.querySelector("#answers[data-answers]");
  if (section) {
    showAnswers(section).catch(() => {
      section.querySelector(".count").textContent = "This browser is too old to show the answers; `aftune show` does.";
    });
  }
})();
