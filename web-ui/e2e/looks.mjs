/** Screenshots for people: each view, desktop and phone, light and dark. */
import { sleep } from "./counter.mjs";

export async function looks(page, shot, prefix = "") {
  for (const [form, viewport] of [["desktop", { width: 1280, height: 800 }], ["phone", { width: 360, height: 740 }]]) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      for (const view of ["live", "playback", "box"]) {
        await page.evaluate((name) => {
          location.hash = `#/${name}`;
        }, view);
        await sleep(2500);
        await shot(`${prefix}${view}-${form}-${colorScheme}`);
      }
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: "light" });
  return true;
}
