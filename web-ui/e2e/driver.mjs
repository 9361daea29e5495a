/** What both drivers share: the browser, screenshots, and one JSON object that says what was seen. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { openBrowser } from "./browser.mjs";

/**
 * Opens the box of HEARTHKEEP_URL, runs `checks` with its tools, prints what it returns and ends. Exit code 0 when everything
 * held, 1 when not ("failures" says what), 2 when it could not be tried. What the page complains of is a failure, except
 * what `expected` matches.
 */
export async function drive(checks, { expected = null } = {}) {
  const { HEARTHKEEP_URL: url, HEARTHKEEP_SHOTS: shots, HEARTHKEEP_PROFILE: kept = null } = process.env;
  if (!url) {
    console.error("HEARTHKEEP_URL is not set: say where the box is");
    process.exit(2);
  }
  const failures = [];
  const expect = (held, sentence) => {
    if (!held) failures.push(sentence);
  };
  const browser = await openBrowser({ url, kept });
  const { page } = browser;
  const shot = async (name, of = page) => {
    if (!shots) return;
    await mkdir(shots, { recursive: true });
    await of.screenshot({ path: join(shots, `${name}.png`) });
  };
  const results = {};
  try {
    await checks({ page, url, expect, shot, results });
  } catch (error) {
    failures.push(String(error));
    await shot("failed").catch(() => undefined);
  }
  for (const error of browser.errors) if (!expected?.test(error)) failures.push(error);
  await browser.close();
  console.log(JSON.stringify({ ok: failures.length === 0, failures, ...results }, null, 1));
  process.exit(failures.length === 0 ? 0 : 1);
}

/** The claim code that the environment gives; null where it gives none. */
export async function claimCode() {
  const { HEARTHKEEP_CLAIM_CODE: code, HEARTHKEEP_CLAIM_CODE_FILE: file } = process.env;
  if (code || !file) return code ?? null;
  // The file may hold a sentence around the code on further lines.
  return (await readFile(file, "utf8")).trim().split("\n")[0].trim();
}
