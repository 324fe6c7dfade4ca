// Looks at a workflow as a person does: the list, one click, and what its page says. For tests that are not written here.
//
//   node look.mjs PAGES WORKFLOW_ID PATTERN...
//
// PAGES is where the pages are, e.g. http://127.0.0.1:8080. Each PATTERN is a regular expression that what is to be seen
// on the workflow's page has to match. With LOOK_PICTURES=FOLDER it leaves pictures there: light, dark and narrow.
// CHROMIUM names the browser's program (default /usr/bin/chromium).

import { chromium } from "playwright-core";

const [pages, workflowId, ...patterns] = process.argv.slice(2);
const pictures = process.env.LOOK_PICTURES;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light" });
  context.setDefaultTimeout(20_000);
  const tab = await context.newPage();
  await tab.goto(`${pages}/namespaces/default/workflows`);
  const link = tab.locator("table.workflows a", { hasText: new RegExp(`^${workflowId}$`) });
  await link.waitFor();
  if (pictures) await tab.screenshot({ path: `${pictures}/list.png` });
  await link.click();
  await tab.waitForSelector(".now");

  const missing = async () => {
    const seen = await tab.locator("main").innerText();
    return patterns.filter((pattern) => !new RegExp(pattern).test(seen));
  };
  // What is seen changes by itself, without a reload.
  for (const until = Date.now() + 20_000; (await missing()).length > 0 && Date.now() < until; ) await tab.waitForTimeout(100);
  if (pictures) {
    await tab.screenshot({ path: `${pictures}/light.png`, fullPage: true });
    await tab.emulateMedia({ colorScheme: "dark" });
    await tab.screenshot({ path: `${pictures}/dark.png`, fullPage: true });
    await tab.setViewportSize({ width: 390, height: 844 });
    await tab.screenshot({ path: `${pictures}/narrow.png`, fullPage: true });
  }
  const unseen = await missing();
  if (unseen.length > 0) {
    console.error(`${tab.url()} does not show ${unseen.join(" nor ")}, but:\n${await tab.locator("main").innerText()}`);
    process.exitCode = 1;
  }
} finally {
  await browser.close();
}
