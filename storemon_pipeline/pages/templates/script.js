"use strict";
(() => {
  // sort tables by column and filter their rows
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
          // missing values come last in both directions
          if (x === "" || y === "") return (x === "") - (y === "");
          return (up ? 1 : -1) * collator.compare(x, y);
        };
        // data-value of a number column is a plain number
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
    const status = search.querySelector("[role=status]");
    const rows = [...document.getElementById(field.dataset.table).tBodies[0].rows];
    const beyond = document.querySelector(`[data-beyond="${field.dataset.table}"]`);
    const linkToAllStores = (query) => {
      // report.html opened as a file has no page of all stores
      const root = document.querySelector("a.brand")?.getAttribute("href");
      if (!beyond || !root) return;
      beyond.hidden = false;
      beyond.href = `${root}stores?q=${encodeURIComponent(query)}`;
      beyond.textContent = query ? `Search all stores for “${query}”` : "Search all stores";
    };
    linkToAllStores("");
    field.addEventListener("input", () => {
      const text = field.value.trim().toLowerCase();
      let matches = 0;
      for (const row of rows) {
        row.hidden = !row.textContent.toLowerCase().includes(text);
        matches += !row.hidden;
      }
      status.textContent = text ? `${matches} of ${rows.length}` : "";
      linkToAllStores(field.value.trim());
    });
  }

  // poll the progress of a report until it has ended
  const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
  async function follow(panel, url, ended) {
    const statusText = panel.querySelector("[role=status]");
    const bar = panel.querySelector("progress");
    const badge = panel.querySelector(".badge");
    for (;;) {
      try {
        const response = await fetch(url, { headers: { Accept: "application/json" } });
        const report = await response.json();
        if (!response.ok) throw new Error(report.detail);
        if (!["Queued", "Running"].includes(report.status)) return ended(report);
        const { done = 0, steps = 0 } = report.progress ?? {};
        const waiting = report.status === "Queued" && !report.run_id;
        const status = waiting ? statusText.dataset.waiting : report.status;
        const text = steps ? `${status}: ${done} of ${steps} steps` : status;
        // update on change only, because screen readers announce each update
        if (statusText.textContent !== text) statusText.textContent = text;
        if (badge) badge.textContent = report.status;
        if (steps) Object.assign(bar, { max: steps, value: done });
      } catch (error) {
        statusText.textContent = `The server is not responding: ${error.message}`;
      }
      await pause(1.5);
    }
  }
  const running = document.querySelector("[data-follow]");
  if (running) follow(running, running.dataset.follow, () => location.reload());

  const form = document.querySelector("form[data-submit]");
  const showBesideFields = (errors) => {
    for (const element of form.querySelectorAll("[data-problem]")) {
      const fieldErrors = errors.filter((each) => each.where === `body.${element.dataset.problem}`);
      element.textContent = fieldErrors.map((each) => each.message).join("; ");
      element.hidden = !fieldErrors.length;
      form.elements[element.dataset.problem].setAttribute("aria-invalid", fieldErrors.length > 0);
    }
  };
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const [problem, panel] = [form.querySelector("[role=alert]"), document.getElementById("progress")];
    const button = form.querySelector("button");
    const data = new FormData(form);
    const spec = { windows: data.getAll("windows") };
    for (const name of ["start", "end"]) if (data.get(name)) spec[name] = data.get(name);
    const stores = data.get("store_ids").split(/[\s,]+/).filter(Boolean);
    if (stores.length) spec.store_ids = stores;
    problem.hidden = true;
    showBesideFields([]);
    button.disabled = true;
    try {
      if (!spec.windows.length && !spec.start && !spec.end) throw new Error(form.dataset.noWindow);
      const response = await fetch(form.dataset.submit, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify(spec),
      });
      const result = await response.json();
      if (!response.ok) showBesideFields(result.errors ?? []);
      if (!response.ok) throw new Error(result.errors?.map((each) => each.message).join("; ") || result.detail);
      const page = `reports/${encodeURIComponent(result.id)}`;
      panel.hidden = false;
      panel.querySelector("a").href = page;
      await follow(panel, `${form.dataset.submit}/${encodeURIComponent(result.id)}`, () => location.assign(page));
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
})();
