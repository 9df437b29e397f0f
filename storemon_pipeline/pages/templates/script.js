"use strict";
(() => {
  // tables: sort by a heading, search by text; without this script they are plain tables
  const collator = new Intl.Collator("en", { numeric: true });
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const up = heading.getAttribute("aria-sort") !== "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", up ? "ascending" : "descending");
        const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
        const order = (a, b) => {
          const [x, y] = [value(a), value(b)];
          // what is not known comes last, either way
          if (x === "" || y === "") return (x === "") - (y === "");
          return (up ? 1 : -1) * collator.compare(x, y);
        };
        // numbers are told in a form that they can be compared in
        const numeric = headings[column].classList.contains("number");
        const byNumber = (a, b) => {
          const [x, y] = [value(a), value(b)];
          if (x === "" || y === "") return (x === "") - (y === "");
          return (up ? 1 : -1) * (Number(x) - Number(y));
        };
        body.append(...[...body.rows].sort(numeric ? byNumber : order));
      });
    });
  }
  for (const search of document.querySelectorAll(".search")) {
    search.hidden = false;
    const field = search.querySelector("input");
    const told = search.querySelector("[role=status]");
    const rows = [...document.getElementById(field.dataset.table).tBodies[0].rows];
    const beyond = document.querySelector(`[data-beyond="${field.dataset.table}"]`);
    const lead = (wanted) => {
      // a file by itself has no page that lists all stores
      const root = document.querySelector("a.brand")?.getAttribute("href");
      if (!beyond || !root) return;
      beyond.hidden = false;
      beyond.href = `${root}stores?q=${encodeURIComponent(wanted)}`;
      beyond.textContent = wanted ? `Search all stores for “${wanted}”` : "Search all stores";
    };
    lead("");
    field.addEventListener("input", () => {
      const wanted = field.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
        shown += !row.hidden;
      }
      told.textContent = wanted ? `${shown} of ${rows.length}` : "";
      lead(field.value.trim());
    });
  }

  // a report's progress, asked for until it has ended
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  async function follow(panel, url, ended) {
    const told = panel.querySelector("[role=status]");
    const bar = panel.querySelector("progress");
    const badge = panel.querySelector(".badge");
    for (;;) {
      try {
        const answer = await fetch(url, { headers: { Accept: "application/json" } });
        const report = await answer.json();
        if (!answer.ok) throw new Error(report.detail);
        if (!["Queued", "Running"].includes(report.status)) return ended(report);
        const { done = 0, steps = 0 } = report.progress ?? {};
        const waits = report.status === "Queued" && !report.run_id;
        const status = waits ? told.dataset.waits : report.status;
        const said = steps ? `${status}: ${done} of ${steps} steps` : status;
        // said again only when it is something else
        if (told.textContent !== said) told.textContent = said;
        if (badge) badge.textContent = report.status;
        if (steps) Object.assign(bar, { max: steps, value: done });
      } catch (error) {
        told.textContent = `The API does not answer: ${error.message}`;
      }
      await pause(1.5);
    }
  }
  const running = document.querySelector("[data-follow]");
  if (running) follow(running, running.dataset.follow, () => location.reload());

  const form = document.querySelector("form[data-ask]");
  const showBesideFields = (errors) => {
    for (const place of form.querySelectorAll("[data-problem]")) {
      const own = errors.filter((each) => each.where === `body.${place.dataset.problem}`);
      place.textContent = own.map((each) => each.message).join("; ");
      place.hidden = !own.length;
      form.elements[place.dataset.problem].setAttribute("aria-invalid", own.length > 0);
    }
  };
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [problem, panel] = [form.querySelector("[role=alert]"), document.getElementById("progress")];
    const button = form.querySelector("button");
    const data = new FormData(form);
    const asked = { windows: data.getAll("windows") };
    for (const name of ["start", "end"]) if (data.get(name)) asked[name] = data.get(name);
    const stores = data.get("store_ids").split(/[\s,]+/).filter(Boolean);
    if (stores.length) asked.store_ids = stores;
    problem.hidden = true;
    showBesideFields([]);
    button.disabled = true;
    try {
      if (!asked.windows.length && !asked.start && !asked.end) throw new Error(form.dataset.nothing);
      const answer = await fetch(form.dataset.ask, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify(asked),
      });
      const told = await answer.json();
      if (!answer.ok) showBesideFields(told.errors ?? []);
      if (!answer.ok) throw new Error(told.errors?.map((each) => each.message).join("; ") || told.detail);
      const page = `reports/${encodeURIComponent(told.id)}`;
      panel.hidden = false;
      panel.querySelector("a").href = page;
      await follow(panel, `${form.dataset.ask}/${encodeURIComponent(told.id)}`, () => location.assign(page));
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
})();
