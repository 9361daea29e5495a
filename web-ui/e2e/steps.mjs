/** What a person does on the page, step by step. */

/** Claims the box up to the last button: code, name, passphrase, kit, two of its groups. Returns the kit's text. */
export async function claim(page, { code, name, passphrase, beforeConfirm }) {
  await page.getByRole("heading", { name: "This box has no owner yet" }).waitFor();
  await page.getByLabel("Claim code").fill(code);
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("Passphrase", { exact: true }).fill(passphrase);
  await page.getByLabel("Passphrase again").fill(passphrase);
  await page.getByText("Strong enough.").waitFor();
  await page.getByRole("button", { name: "Make my keys" }).click();
  await page.getByRole("heading", { name: "Your recovery kit", exact: true }).waitFor();
  const groups = await page.locator(".kit-group").allTextContents();
  const kit = await page.locator(".kit-line").textContent();
  await beforeConfirm?.();
  await page.getByRole("button", { name: "I have it on paper" }).click();
  const fields = page.getByLabel(/^Group \d+$/);
  await fields.first().waitFor();
  for (const field of await fields.all()) {
    const label = await page.locator(`label[for="${await field.getAttribute("id")}"]`).textContent();
    await field.fill(groups[Number(label.match(/\d+/)[0]) - 1].toLowerCase());
  }
  await page.getByRole("button", { name: "Claim this box" }).click();
  return kit;
}

/** Fills the form and sends it; what comes of it is the caller's to see. */
export async function trySignIn(page, { name, passphrase }) {
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Passphrase").fill(passphrase);
  await page.getByRole("button", { name: "Sign in" }).click();
}

export async function signIn(page, who) {
  await trySignIn(page, who);
  await page.getByRole("navigation").waitFor();
}

/** The same for who may be in already: a browser that comes back. */
export async function signInAgain(page, who) {
  const inside = page.getByRole("navigation");
  const heading = page.getByRole("heading", { name: "Sign in" });
  await inside.or(heading).first().waitFor();
  if (await heading.isVisible()) await signIn(page, who);
}

export const show = (page, view) =>
  page.evaluate((name) => {
    location.hash = `#/${name}`;
  }, view);

export async function signOut(page) {
  await page.getByRole("button", { name: /^Signed in as/ }).click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
}

/** Streams as the box tells a page that is signed in. */
export const streams = (page) => page.evaluate(async () => (await fetch("/api/v1/streams")).json());

export const timeline = (page, stream, fromUs, toUs) =>
  page.evaluate(
    async ([id, from, to]) => (await fetch(`/api/v1/streams/${id}/timeline?from=${from}&to=${to}`)).json(),
    [stream, Math.floor(fromUs), Math.floor(toUs)],
  );

/** Shows an instant in playback by its address; resolves when its picture is on the screen. */
export async function seekTo(page, stream, us) {
  await page.evaluate(
    ([id, at]) => {
      document.querySelector(".picture")?.removeAttribute("data-first-picture-ms");
      location.hash = `#/playback?stream=${id}&at=${at}`;
    },
    [stream, Math.round(us)],
  );
  const shown = page.locator('.picture[data-state="ready"][data-first-picture-ms]');
  await shown.waitFor({ timeout: 15_000 });
  return {
    firstPictureMs: Number(await page.locator(".picture").getAttribute("data-first-picture-ms")),
    wallUs: Number(await page.locator("time.when").getAttribute("data-wall-us")),
  };
}
