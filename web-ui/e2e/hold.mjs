/** Footage that is kept by hand: set below the timeline, shown there and in the box's view, and ended. */
import * as steps from "./steps.mjs";

const REASON = "the broken fence";

export async function keep({ page, expect, shot }) {
  await steps.show(page, "playback");
  await page.locator('.track[data-loaded="true"]').first().waitFor();
  expect((await page.locator(".track-held").count()) === 0, "something is shown as kept before anything is");
  await page.getByRole("button", { name: "Keep this" }).click();
  const dialog = page.getByRole("dialog");
  const [from, to] = [dialog.getByLabel("From"), dialog.getByLabel("To", { exact: true })];
  const [begin, end] = [await from.inputValue(), await to.inputValue()];
  expect(begin.endsWith("T00:00:00") || begin.endsWith("T00:00"), `what is in view begins at ${begin}`);
  await dialog.getByLabel("Why").fill(REASON);
  await shot("keep-dialog");
  await to.fill(begin);
  await dialog.getByRole("button", { name: "Keep", exact: true }).click();
  await dialog.getByText("the end is after the beginning").waitFor();
  await to.fill(end);
  await dialog.getByRole("button", { name: "Keep", exact: true }).click();
  await dialog.waitFor({ state: "detached" });
  await page.locator(".track-held").waitFor();
  await shot("kept-playback");
  return { begin, end };
}

/** The answer that comes where the end of a hold could not be written; the box lists it no more by then. */
const UNWRITTEN = { code: "not-written", message: "It is ended, but the box cannot write that down now." };

/** A hold whose end is not written stays with the reason, until somebody has read it. */
export async function unwritten({ page, expect, shot }) {
  await steps.show(page, "box");
  const row = page.locator("[data-hold]");
  await row.waitFor();
  await page.context().route("**/api/v1/holds/*/end", async (route) => {
    const answer = await route.fetch();
    expect(answer.status() === 204, `the box ends a hold with ${answer.status()}`);
    // By now the list lacks it.
    const [holds] = await Promise.all([
      page.waitForResponse((told) => told.url().endsWith("/api/v1/holds")),
      row.waitFor(),
    ]);
    expect((await holds.json()).length === 0, "the box still lists what has ended");
    await route.fulfill({ status: 503, json: { error: UNWRITTEN } });
  });
  await row.getByRole("button", { name: "End" }).click();
  await row.getByRole("button", { name: "Let it be deleted" }).click();
  await row.getByText(UNWRITTEN.message).waitFor();
  await page.waitForResponse((told) => told.url().endsWith("/api/v1/holds"));
  expect(await row.getByText(REASON).isVisible(), "the row went with the next answer of the box");
  await shot("kept-unwritten");
  await row.getByRole("button", { name: "Understood" }).click();
  await row.waitFor({ state: "detached" });
}

export async function letGo({ page, expect, shot }) {
  await steps.show(page, "box");
  const row = page.locator("[data-hold]");
  await row.getByText(REASON).waitFor();
  const text = await row.textContent();
  expect(text.includes("door") && text.includes("set by owner"), `the row of what is kept: ${text}`);
  await shot("kept-box");
  await page.setViewportSize({ width: 360, height: 740 });
  await shot("kept-box-phone");
  await page.setViewportSize({ width: 1280, height: 800 });
  await row.getByRole("button", { name: "End" }).click();
  await row.getByRole("button", { name: "Keep it" }).click();
  await row.getByRole("button", { name: "End" }).click();
  await shot("kept-ending");
  await row.getByRole("button", { name: "Let it be deleted" }).click();
  await row.waitFor({ state: "detached" });
  await steps.show(page, "playback");
  await page.locator('.track[data-loaded="true"]').first().waitFor();
  expect((await page.locator(".track-held").count()) === 0, "what was let go is still shown as kept");
  return text;
}
