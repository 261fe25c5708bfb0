// Visits every page of the gateway's dashboard in Chromium: in both themes, narrow and wide, with and without scripts.
//
// node tests/dashboard_browser.mjs GATEWAY MODULES SCREENSHOTS
//
// GATEWAY is the program, MODULES a folder with the packages playwright-core and axe-core, and SCREENSHOTS a folder for
// pictures, which people look at. With UPDATE_README=1, it also takes the pictures of the README.

import { spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [gateway, modules, screenshots] = process.argv.slice(2);
const require = createRequire(resolve(modules, "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core"), "utf8");
const problems = [];

function check(isRight, text) {
  if (!isRight) problems.push(text);
}

/** Starts the demo, and returns the process and the link that it prints, once its history is complete. */
function start() {
  const program = spawn(gateway, { env: { ...process.env, LISTEN: "127.0.0.1:0" }, stdio: ["ignore", "ignore", "pipe"] });
  return new Promise((done, fail) => {
    let text = "";
    program.stderr.on("data", (data) => {
      text += data;
      const link = text.match(/http:\S+\/sign-in\?token=\S+/);
      if (link && text.includes("synthetic requests of the last")) done({ program, link: link[0] });
    });
    program.on("exit", (code) => fail(new Error(`the gateway ended with ${code}: ${text}`)));
  });
}

/** Opens a page, and notes what a browser complains about. */
async function open(context, name, url) {
  const page = await context.newPage();
  page.on("console", (message) => check(message.type() === "log", `${name}: console: ${message.text()}`));
  page.on("pageerror", (error) => check(false, `${name}: ${error.message}`));
  const response = await page.goto(url);
  check(response.status() === 200, `${name}: status ${response.status()} of ${page.url()}`);
  return page;
}

async function links(page) {
  return page.$$eval("a[href]", (list) => list.map((link) => new URL(link.getAttribute("href"), location).href));
}

const { program, link } = await start();
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
try {
  mkdirSync(screenshots, { recursive: true });
  const first = await browser.newContext();
  const entry = await open(first, "sign-in", link);
  const base = entry.url();
  check(base.endsWith("/tagging/"), `the link leads to ${base}`);
  const storageState = await first.storageState();
  check(storageState.cookies.every((cookie) => cookie.httpOnly && cookie.sameSite === "Strict"), "the cookie is protected");

  const find = async (url, part) => {
    const page = await open(first, "find", url);
    const found = (await links(page)).find((link) => link.includes(part));
    check(found !== undefined, `no link with ${part} on ${url}`);
    await page.close();
    return found ?? base;
  };
  // A view is saved below the filters, and then in the menu of each page.
  for (const [name, path, isShared] of [["Search & chat", "explore?g=feature&f=feature:is-not:agent", true], ["Errors of today", "requests?r=24h&f=status:is:5xx", false]]) {
    const page = await open(first, "save", base + path);
    await page.click(".save summary");
    await page.fill(".save input[name=name]", name);
    if (isShared) await page.check(".save input[name=shared]");
    const address = page.url();
    await Promise.all([page.waitForNavigation(), page.click(".save button")]);
    check(page.url() === address, `saving ${address} leads to ${page.url()}`);
    await page.click(".menu summary");
    await page.click(`.menu a:has-text("${name}")`);
    check(page.url() === address, `the view ${address} leads to ${page.url()}`);
    await page.close();
  }

  const request = await find(`${base}requests?f=agent_run_id:has`, "/requests/");
  const pages = {
    overview: base,
    explore: `${base}explore?g=team&s=model`,
    lines: `${base}explore?m=p95_latency`,
    requests: `${base}requests`,
    request,
    trace: await find(request, "/traces/"),
    session: await find(request, "/sessions/"),
    sessions: `${base}sessions`,
    traces: `${base}sessions?r=24h&g=trace_id`,
    users: `${base}by/_user`,
    views: `${base}views`,
    compare: `${base}compare?g=team`,
    periods: `${base}compare?r=7d`,
    budgets: `${base}budgets`,
    keys: `${base}keys`,
    health: `${base}health`,
    access: `${base}access`,
    showback: `${base}showback/team/growth`,
    day: `${base}?r=24h&tz=Asia/Kathmandu`,
    empty: `${base}?r=2020-01-01..2020-01-02`,
  };
  // Each page has each theme and each width once, and the next page the other pairs of them.
  const pairs = [[["light", 360], ["dark", 1440]], [["dark", 360], ["light", 1440]]];
  for (const [at, [name, url]] of Object.entries(pages).entries()) {
    for (const [colorScheme, width] of pairs[at % 2]) {
      const context = await browser.newContext({ storageState, colorScheme, viewport: { width, height: 900 } });
      const page = await open(context, name, url);
      check(page.url() === url, `${name}: ${url} leads to ${page.url()}`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate("axe.run()");
      for (const { id, impact, nodes } of violations) {
        check(impact === "minor", `${name} ${colorScheme} ${width}: ${id} (${impact}): ${nodes[0].html.slice(0, 200)}`);
      }
      check(await page.isVisible(".trust") === false || !(await page.textContent(".trust")).includes("never"), `${name}: sums were never verified`);
      const overflow = await page.evaluate("document.documentElement.scrollWidth - innerWidth");
      check(overflow <= 0, `${name} ${width}: the page is ${overflow} pixels too wide`);
      await page.screenshot({ path: `${screenshots}/${name}-${width}-${colorScheme}.png`, fullPage: true });
      await context.close();
    }
    const plain = await browser.newContext({ storageState, javaScriptEnabled: false });
    const page = await open(plain, `${name} without scripts`, url);
    check((await page.textContent("h1")).length > 0, `${name} has no heading without scripts`);
    await plain.close();
  }

  if (process.env.UPDATE_README) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ storageState, colorScheme, viewport: { width: 1280, height: 800 } });
      const page = await open(context, "README", base);
      await page.screenshot({ path: `examples/gateway/dashboard-${colorScheme}.png` });
      await context.close();
    }
  }

  // The menu of views, which does not widen the page.
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [360, 1440]) {
      const context = await browser.newContext({ storageState, colorScheme, viewport: { width, height: 900 } });
      const page = await open(context, "menu", base);
      await page.click(".menu summary");
      await page.click(".save summary");
      check(await page.isVisible('.menu a:has-text("All saved views")'), `menu ${width}: the list is not visible`);
      const box = await page.locator(".menu ul").boundingBox();
      check(box.x >= 0 && box.x + box.width <= width, `menu ${width}: from ${box.x} to ${box.x + box.width}`);
      await page.screenshot({ path: `${screenshots}/menu-${width}-${colorScheme}.png` });
      await context.close();
    }
  }
  const list = await open(first, "list", `${base}views`);
  await list.fill('input[aria-label="New name of Errors of today"]', "Errors");
  await Promise.all([list.waitForNavigation(), list.click('button[aria-label="Rename Errors of today"]')]);
  await Promise.all([list.waitForNavigation(), list.click('button[aria-label="Share Errors"]')]);
  check((await list.textContent("main")).includes("Errors"), "the view is not renamed");
  await Promise.all([list.waitForNavigation(), list.click('button[aria-label="Delete Errors"]')]);
  check(!(await list.textContent("main")).includes("Errors"), "the view is not deleted");
  await list.goto(`${base}health`);
  const log = await list.textContent("main");
  for (const action of ["share view", "delete view"]) check(log.includes(action), `the log has no ${action}`);

  // A filter, with the keyboard alone.
  const keyboard = await browser.newContext({ storageState });
  const page = await open(keyboard, "keyboard", base);
  for (let at = 0; at < 60; at += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate("document.activeElement.name === 'k'")) break;
  }
  await page.keyboard.type("team");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.type("growth");
  await Promise.all([page.waitForURL("**/tagging/?f=team:is:growth"), page.keyboard.press("Enter")]);
  check((await page.textContent(".chip")).includes("growth"), "the filter is not shown");
  await page.click(".chip .x");
  check(page.url() === `${base}?`, `without the filter, the page is ${page.url()}`);

  // The page stays fresh if asked.
  await page.click(".trust button");
  check(await page.getAttribute(".trust button", "aria-pressed") === "true", "the button is not pressed");
  await keyboard.close();
} finally {
  await browser.close();
  program.removeAllListeners("exit");
  program.kill();
}
for (const problem of problems) console.error(problem);
console.log(`${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);
