/** What the timeline shows of a camera while something is wrong with it; who changes that waits for files named after what was seen. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as steps from "./steps.mjs";

const LONG_MS = 90_000;
const seen = (signals, name) => writeFile(join(signals, name), "");

/** What is being recorded counts before its first segment has ended. */
export async function recorded({ page, expect, shot }) {
  await steps.show(page, "box");
  const row = page.locator(".rows li", { hasText: "door" });
  await row.getByText("Recording").waitFor();
  const text = await row.textContent();
  expect(/\d \S?B · since /.test(text), `the row of a camera that is recorded: ${text}`);
  await shot("box");
  return text;
}

/** A gap is shown with its cause while it lasts, and ends when there is footage again. */
export async function open({ page, expect, shot }, signals) {
  await steps.show(page, "playback");
  await page.locator('.track[data-loaded="true"] .track-bar').first().waitFor();
  const open = page.locator('.gaps li[data-open="true"]');
  expect((await open.count()) === 0, "a gap is open while all is well");
  await seen(signals, "well");
  await page.locator(".gaps summary").click({ timeout: LONG_MS });
  await open.waitFor({ timeout: LONG_MS });
  const shownMs = Date.now();
  const [cause, text] = [await open.getAttribute("data-cause"), await open.textContent()];
  expect(cause === "camera-lost", `the cause of the open gap: ${cause}`);
  expect(/Nothing is recorded for .*The camera could not be reached/.test(text), `the open gap says: ${text}`);
  await page.locator(".track-gap.open").waitFor();
  await shot("gap-open");
  await seen(signals, "open");
  await open.waitFor({ state: "detached", timeout: LONG_MS });
  const over = page.locator('.gaps li[data-cause="camera-lost"]');
  const told = await over.textContent();
  expect(/without footage.*The camera could not be reached/.test(told), `the gap that has ended says: ${told}`);
  expect((await page.locator(".track-gap.open").count()) === 0, "the gap is still drawn as open");
  await shot("gap-over");
  return { shownMs, text, told };
}

/** Where packets were lost the timeline is marked, in words too. */
export async function damaged({ page, expect, shot }, signals) {
  const marked = page.locator(".gaps li[data-damaged]");
  expect((await marked.count()) === 0, "something is marked as damaged while all is well");
  await seen(signals, "over");
  await marked.first().waitFor({ timeout: LONG_MS });
  await page.locator(".track-damaged").first().waitFor();
  const text = await marked.first().textContent();
  expect(text.includes("Packets were lost on the way from the camera"), `what may be damaged says: ${text}`);
  const zoom = page.getByRole("button", { name: "Show less of the day" });
  for (let n = 0; n < 9; n += 1) await zoom.click();
  await shot("damaged");
  return text;
}
