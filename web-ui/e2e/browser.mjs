/** A browser for the tests: Debian's chromium with a fresh profile. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Live tiles play without a touch; they are muted, as every browser wants it.
  "--autoplay-policy=no-user-gesture-required",
];

/**
 * Opens the box's page; `errors` collects what the page complained of. A `kept` profile stays, and what the page keeps in it: it is
 * the browser of somebody who comes back.
 */
export async function openBrowser({ url, kept = null, viewport = { width: 1280, height: 800 }, dark = false, touch = false }) {
  const profile = kept ?? (await mkdtemp(join(tmpdir(), "hearthkeep-e2e-")));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: FLAGS,
    viewport,
    hasTouch: touch,
    isMobile: touch,
    colorScheme: dark ? "dark" : "light",
    // The box's certificate is its own authority's; the test knows the address it started.
    ignoreHTTPSErrors: true,
    acceptDownloads: true,
  });
  const page = context.pages()[0] ?? (await context.newPage());
  const errors = [];
  page.on("pageerror", (error) => errors.push(`page: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !isAnswer(message)) errors.push(`console: ${message.text()}`);
  });
  await page.goto(url);
  return {
    context,
    page,
    errors,
    async close() {
      await context.close();
      if (kept === null) await rm(profile, { recursive: true, force: true });
    },
  };
}

/** Whether it is an answer that the browser logs all the same: a 401 before signing in, or a log that is not read yet. */
function isAnswer(message) {
  const notYet = /\/api\/v1\/(log\/checkpoint|holds)$/.test(message.location().url);
  return /status of 401/.test(message.text()) || (notYet && /status of 503/.test(message.text()));
}
