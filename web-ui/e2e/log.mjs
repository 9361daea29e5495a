/** What the page says of the signed log, as a browser that may have seen it before. */
import * as steps from "./steps.mjs";

/** Waits for these words in the box's view; what is wrong stands above every view, also after a reload. */
export async function said({ page, expect, shot }, words) {
  await steps.show(page, "box");
  const told = page.locator("[data-log]");
  await told.filter({ hasText: words ?? "All well" }).waitFor();
  const above = page.locator('[data-trouble="log"]');
  if (!words) {
    expect((await above.count()) === 0, `all is well, and above it stands: ${await above.allTextContents()}`);
    await shot("log-well");
    return told.textContent();
  }
  const slug = words.replaceAll(/[^a-z]+/gi, "-").toLowerCase();
  for (const view of ["live", "playback", "box"]) {
    await steps.show(page, view);
    await above.filter({ hasText: words }).waitFor();
    await shot(`log-${slug}-${view}`);
  }
  // A new log that goes on from what was seen is said once; what contradicts it, until a person has decided.
  if (!words.startsWith("A new signed log")) {
    await page.reload();
    await above.filter({ hasText: words }).waitFor();
  }
  return told.textContent();
}

/** Footage that somebody removed is no mere gap: it is told above every view, and in the day's list where it was. */
export async function removed({ page, expect, shot }) {
  const above = page.locator('[data-trouble="log"]').filter({ hasText: "somebody removed it" });
  await above.waitFor();
  await steps.show(page, "playback");
  await page.locator(".gaps summary").click();
  const gap = page.locator('.gaps [data-cause="removed"]');
  await gap.waitFor();
  const text = await gap.textContent();
  expect(text.includes("removed"), `the gap says: ${text}`);
  await shot("removed");
  return { above: await above.textContent(), gap: text };
}
