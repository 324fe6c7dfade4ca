// The page: shows each picture that the server sends, and turns clicks into calls of the JSON API.
//
// Amounts are decimal strings from end to end; nothing here computes with money.

const $ = (id) => document.getElementById(id);

/** Makes an element: attributes that are functions become listeners, text is always text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** "12345.60" as "12,345.60". */
const money = (amount) => (amount === null ? "?" : amount.replace(/\B(?=(\d{3})+(?=\.))/g, ","));
const account = (id) => (id ?? "?").replace("_", " ");

/** How long ago, or how long something took: "0.4 s", "12 s", "3 min". */
function duration(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

/** Brings a list up to date and leaves alone every item that has not changed. */
function update(list, items, key, make) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  const children = items.map((item) => {
    const text = JSON.stringify(item);
    const kept = old.get(key(item));
    if (kept?.dataset.item === text) return kept;
    const made = make(item, kept);
    made.dataset.key = key(item);
    made.dataset.item = text;
    return made;
  });
  const same = children.length === list.children.length && children.every((child, at) => child === list.children[at]);
  if (!same) list.replaceChildren(...children);
}

// ---------------------------------------------------------------- calls

async function call(method, path, body) {
  const options = { method };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the money transfer API does not answer");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Error(answer?.error?.message ?? `the money transfer API answered ${response.status}`);
  return answer;
}

/** Runs an action of the user and says how it went. */
async function attempt(control, action) {
  if (control) control.disabled = true;
  const said = $("said");
  try {
    said.textContent = (await action()) ?? "";
    delete said.dataset.bad;
  } catch (error) {
    said.textContent = error.message;
    said.dataset.bad = "";
  } finally {
    if (control) control.disabled = false;
  }
}

// ---------------------------------------------------------------- the picture

let latest = null;

const link = (transfer) =>
  element(
    "a",
    {
      href: `${latest.server_ui}/workflows/${encodeURIComponent(transfer.id)}/${transfer.run_id}`,
      target: "steadfast",
      title: "This transfer’s workflow in the server’s web UI",
    },
    transfer.id,
    element("span", { "aria-hidden": "true" }, " ↗"),
  );

const what = (transfer) =>
  element(
    "div",
    { class: "what" },
    element("b", {}, money(transfer.amount)),
    element("span", {}, ` from ${account(transfer.from)} to ${account(transfer.to)}`),
  );

/** The step that the trouble is about; trouble in the workflow's own code is about the first step that is not done. */
function failingStep(transfer) {
  if (!transfer.trouble) return null;
  const place = transfer.trouble.place;
  return place.activity ?? transfer.steps.find((step) => step.standing !== "done")?.step;
}

function steps(transfer) {
  const failing = failingStep(transfer);
  return element(
    "ol",
    { class: "steps" },
    ...transfer.steps.map((step) => {
      const standing = step.step === failing ? "failing" : step.standing;
      const words = { done: "done", current: "under way", waiting: "not yet", failing: "failing" }[standing];
      return element("li", { class: standing, title: step.note ?? words, "aria-label": `${step.words}: ${words}` }, step.words);
    }),
  );
}

function trouble(transfer) {
  const { place, text, source, attempt: attempts, next_try: nextTry } = transfer.trouble;
  const title = place.activity ? `The activity ${place.activity} fails` : "The workflow’s code fails";
  return element(
    "div",
    { class: "trouble" },
    element("div", {}, element("b", {}, `${title}: `), text),
    element(
      "div",
      { class: "when" },
      source && element("code", {}, source),
      source && " · ",
      `attempt ${attempts}`,
      nextTry && element("span", { "data-next-try": nextTry }),
    ),
  );
}

const underWay = (transfer) =>
  element(
    "li",
    {},
    what(transfer),
    steps(transfer),
    element("div", { class: "where" }, element("span", { class: "age", "data-since": transfer.started }), link(transfer)),
    transfer.trouble && trouble(transfer),
  );

const outcomeWords = { done: "done", refused: "refused", refunded: "refunded" };
function outcome(transfer) {
  const words = outcomeWords[transfer.outcome] ?? { done: "done", failed: "failed", running: "under way" }[transfer.status];
  return element("span", { class: `outcome ${transfer.status}` }, words);
}

const ended = (transfer) =>
  element(
    "li",
    {},
    what(transfer),
    outcome(transfer),
    element(
      "div",
      { class: "where" },
      element("span", { class: "age" }, `took ${duration(transfer.closed - transfer.started)}`),
      link(transfer),
    ),
  );

function accountCard({ id, balance, closed }, before) {
  const was = before && JSON.parse(before.dataset.item).balance;
  const moved = was === undefined || was === null || was === balance ? "" : Number(was) < Number(balance) ? "rose" : "fell";
  return element(
    "li",
    { class: `${moved} ${closed ? "closed" : ""}` },
    element(
      "button",
      { type: "button", title: `The history of ${account(id)}`, click: () => showAccount(id) },
      element("span", {}, account(id) + (closed ? " (closed)" : "")),
      element("b", {}, money(balance)),
    ),
  );
}

const chaosWords = {
  none: "Every call is answered.",
  some: "One call in ten fails, some of them after the money was booked.",
  real_world: "One call in ten hangs until the caller gives up, four in ten fail, half of them after the money was booked.",
};

function show(picture) {
  latest = picture;
  const { counts } = picture;
  $("counts").replaceChildren(
    ...(counts
      ? [element("b", {}, String(counts.running)), " under way, ", element("b", {}, String(counts.done)), " done, ",
         element("b", {}, String(counts.failed)), " failed"]
      : []),
  );
  $("problems").textContent = picture.problems.join(" ");
  $("problems").hidden = picture.problems.length === 0;
  $("server-ui").href = `${picture.server_ui}/workflows`;
  $("server-ui").hidden = false;
  $("total").textContent = picture.accounts.length ? `together ${money(picture.total)}` : "";

  const level = picture.chaos?.level;
  for (const radio of document.querySelectorAll("#chaos input")) radio.checked = radio.value === level;
  $("chaos-words").textContent = chaosWords[level] ?? "";

  update($("accounts"), picture.accounts, (item) => item.id, accountCard);
  for (const select of document.querySelectorAll("#transfer select")) fill(select, picture.accounts);
  update($("under-way"), picture.under_way, (item) => item.run_id, underWay);
  $("nothing").hidden = picture.under_way.length > 0;
  const more = counts ? counts.running - picture.under_way.length : 0;
  $("under-way-note").textContent = more > 0 ? `and ${more} more` : "";
  update($("ended"), picture.ended, (item) => item.run_id, ended);
  $("ended-section").hidden = picture.ended.length === 0;
  tick();
}

function fill(select, accounts) {
  if (select.options.length === accounts.length) return;
  const chosen = select.value;
  select.replaceChildren(...accounts.map(({ id }) => element("option", { value: id }, account(id))));
  select.value = chosen || accounts[select.name === "to" ? 1 : 0]?.id;
}

/** The numbers that move by themselves. */
function tick() {
  const now = Date.now();
  for (const age of document.querySelectorAll("[data-since]")) age.textContent = duration(now - Number(age.dataset.since));
  for (const next of document.querySelectorAll("[data-next-try]")) {
    const wait = Number(next.dataset.nextTry) - now;
    next.textContent = wait > 0 ? `, in ${duration(wait)}` : ", now";
  }
}
setInterval(tick, 500);

// ---------------------------------------------------------------- an account's history

async function showAccount(id) {
  await attempt(null, async () => {
    const history = await call("GET", `api/accounts/${encodeURIComponent(id)}/transfers`);
    const now = latest.accounts.find((one) => one.id === id);
    $("account-title").textContent = account(id);
    const sum = (words, amount) => element("div", {}, element("dt", {}, words), element("dd", {}, amount));
    $("sums").replaceChildren(
      sum("holds", money(now?.balance ?? null)),
      sum("received", money(history.received)),
      sum("sent", money(history.sent)),
      sum("under way", money(history.under_way)),
    );
    $("account-state").replaceChildren(
      now?.closed ? "Closed: deposits into it can never succeed, and are refunded." : "Open.",
      element("button", { type: "button", click: () => setClosed(id, !now?.closed) }, now?.closed ? "Open it again" : "Close it"),
    );
    const row = (transfer) => {
      const into = transfer.to === id;
      return element(
        "tr",
        {},
        element("td", {}, into ? `from ${account(transfer.from)}` : `to ${account(transfer.to)}`),
        element("td", { class: into && transfer.status === "done" ? "amount in" : "amount" }, `${into ? "+" : "−"}${money(transfer.amount)}`),
        element("td", {}, outcome(transfer)),
        element("td", {}, transfer.started ? new Date(transfer.started).toLocaleString() : ""),
        element("td", {}, link(transfer)),
      );
    };
    const heads = element("tr", {}, ...["", "amount", "", "started", "workflow"].map((text) => element("th", { class: text === "amount" ? text : null }, text)));
    $("history").replaceChildren(
      history.transfers.length
        ? element("table", {}, element("thead", {}, heads), element("tbody", {}, ...history.transfers.map(row)))
        : element("p", { class: "empty" }, "No transfers yet."),
      history.truncated ? element("p", {}, "Older transfers are not shown, and not in the sums.") : "",
    );
    if (!$("account").open) $("account").showModal();
  });
}

async function setClosed(id, closed) {
  await attempt(null, async () => {
    const changed = await call("PUT", `api/accounts/${encodeURIComponent(id)}`, { closed });
    latest.accounts = latest.accounts.map((one) => (one.id === id ? changed : one));
    await showAccount(id);
  });
}

// ---------------------------------------------------------------- what the user does

$("transfer").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const order = { from: form.get("from"), to: form.get("to"), amount: form.get("amount").trim() };
  attempt(event.submitter, async () => {
    const started = await call("POST", "api/transfers", order);
    return `Started ${started.id}.`;
  });
});

$("swap").addEventListener("click", () => {
  const { from, to } = $("transfer").elements;
  [from.value, to.value] = [to.value, from.value];
});

$("batch").addEventListener("submit", (event) => {
  event.preventDefault();
  const count = Number(new FormData(event.target).get("count"));
  attempt(event.submitter, async () => {
    const started = await call("POST", "api/batch", { count });
    return `Started ${started.length} transfers.`;
  });
});

$("chaos").addEventListener("change", (event) => {
  attempt(null, async () => {
    await call("PUT", "api/chaos", { level: event.target.value });
  });
});

$("reset").addEventListener("click", (event) => {
  const busy = latest && latest.under_way.length > 0;
  if (busy && !confirm("Transfers are under way. After a reset their money is booked on top of the new balances. Reset anyway?")) return;
  attempt(event.target, async () => {
    await call("POST", "api/reset");
    return "All accounts hold their opening balance again.";
  });
});

// ---------------------------------------------------------------- live

function connection(live, words) {
  $("connection").dataset.live = live;
  $("connection-words").textContent = words;
}

const pictures = new EventSource("api/live");
pictures.addEventListener("message", (event) => {
  connection(true, "live");
  show(JSON.parse(event.data));
});
pictures.addEventListener("open", () => connection(true, "live"));
pictures.addEventListener("error", () => connection(false, "not connected; tries again"));
