/** What the page says of cameras that do not work, and at its door. */
import * as steps from "./steps.mjs";

/** By camera, what its tile must say. */
const SAID = {
  h265: "H.265, which this browser cannot play",
  unreachable: "cannot be reached",
  "wrong password": "does not accept the user name or the password",
  "no video": "offers no video",
};
const words = (locator) => locator.allTextContents().then((texts) => texts.join(" "));
const { show } = steps;

export async function wrongPassphrase({ page, expect, shot }, { name }) {
  await steps.trySignIn(page, { name, passphrase: "an umbrella in the rain" });
  const error = page.locator(".field .error");
  await error.waitFor();
  const said = await error.textContent();
  expect(said === "The name or the passphrase is wrong.", `a wrong passphrase: ${said}`);
  const kit = await words(page.locator(".notice"));
  expect(kit.includes("recovery kit") && kit.includes("hearthkeep export --kit") && kit.includes("keys passphrase --kit"), `who forgot it is told: ${kit}`);
  await page.getByText("Is it your box?").click();
  const file = page.getByRole("link", { name: "hearthkeep-ca.crt" });
  const status = await page.evaluate(async (href) => (await fetch(href)).status, await file.getAttribute("href"));
  expect(status === 200, `the certificate to compare answers ${status}`);
  await shot("wrong-passphrase");
}

/** Each camera's tile says its sentence, the good one plays, and all that is wrong stands above every view. */
export async function tiles({ page, expect, shot }) {
  await show(page, "live");
  await page.locator('.tile[aria-label="good"][data-state="playing"]').waitFor();
  const said = {};
  for (const [camera, sentence] of Object.entries(SAID)) {
    const tile = page.locator(`.tile[aria-label="${camera}"]`);
    await tile.locator(".said", { hasText: sentence }).waitFor();
    said[camera] = await words(tile.locator(".said"));
    const announced = await words(tile.locator('[role="status"]'));
    expect(announced.includes(sentence), `for ears, ${camera} says: ${announced}`);
  }
  await shot("tiles");
  for (const view of ["live", "playback", "box"]) {
    await show(page, view);
    const troubles = await words(page.locator('[data-trouble="camera"]'));
    for (const camera of ["unreachable", "wrong password", "no video"]) {
      expect(troubles.includes(camera), `above ${view} nothing is said of ${camera}: ${troubles}`);
    }
    expect(!troubles.includes("good"), `above ${view} the good camera is in trouble: ${troubles}`);
  }
  return said;
}

export async function box({ page, expect, shot }) {
  await show(page, "box");
  await page.getByRole("heading", { name: "Is it your box?" }).waitFor();
  const rows = await page.locator(".rows li").allTextContents();
  for (const [camera, sentence] of Object.entries(SAID)) {
    const row = rows.find((text) => text.startsWith(camera));
    expect(camera === "h265" || row?.includes(sentence), `the box's row of ${camera}: ${row}`);
  }
  await shot("box");
  return rows;
}

export async function locked({ page, shot }) {
  await page.getByRole("button", { name: "Locked" }).click();
  await page.getByRole("dialog").getByText("This box cannot read what it recorded").waitFor();
  await shot("locked");
  await page.getByRole("button", { name: "Close" }).click();
}

/** A phone's browser, which has the managed kind of media source only. */
export async function managedSource({ page }) {
  const phone = await page.context().newPage();
  await phone.addInitScript(() => {
    globalThis.ManagedMediaSource = globalThis.MediaSource;
    delete globalThis.MediaSource;
  });
  await phone.goto(page.url().replace(/#.*/, "#/live"));
  await phone.locator('.tile[aria-label="good"][data-state="playing"]').waitFor();
  await phone.close();
}

/** The part that opens footage does not load: in words, and not by a spinner. */
export async function noWorker({ page, shot }) {
  const other = await page.context().newPage();
  await other.route("**/assets/worker-*.js", (route) => route.abort());
  await other.goto(page.url().replace(/#.*/, "#/live"));
  await other.getByText("The part of this page that opens footage could not start").waitFor();
  await shot("no-worker", other);
  await other.close();
}

/** Signed out while the box cannot be told: it says so, and tells it later by itself. */
export async function untoldSignOut({ page, expect, shot }, who) {
  const path = "**/api/v1/sign-out";
  await page.route(path, (route) => route.abort());
  await steps.signOut(page);
  await page.getByText("The box could not be told that you signed out").waitFor();
  await shot("untold-sign-out");
  const session = () => page.evaluate(async () => (await fetch("/api/v1/session")).status);
  expect((await session()) === 200, "the session ended although the box was not told");
  await page.unroute(path);
  await page.getByText("The box could not be told that you signed out").waitFor({ state: "detached" });
  expect((await session()) === 401, "the box was told, and the session lives");
  await steps.signIn(page, who);
}
