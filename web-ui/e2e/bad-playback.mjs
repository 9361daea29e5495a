/** Playing over what is missing, what is damaged, and a network that comes and goes. */
import * as steps from "./steps.mjs";

const DAY_US = 86_400e6;
const SEGMENTS = "**/api/v1/segments/**";
const GOES_ON_MS = 40_000;

const good = async (page) => (await steps.streams(page)).find(({ camera }) => camera === "good").id;
const today = (page, stream) => steps.timeline(page, stream, Date.now() * 1000 - DAY_US, Date.now() * 1000);
const wallUs = async (page) => Number(await page.locator("time.when").getAttribute("data-wall-us"));

const play = async (page) => {
  if (await page.getByRole("button", { name: "Play" }).count()) await page.keyboard.press("k");
};

/** Waits until the time shown is beyond an instant, with nobody touching anything. */
const playsBeyond = (page, us) =>
  page.waitForFunction((wanted) => Number(document.querySelector("time.when").dataset.wallUs) > wanted, us, {
    timeout: GOES_ON_MS,
  });

async function toastWith(page, text) {
  const toast = page.locator(".toast", { hasText: text });
  await toast.waitFor({ timeout: GOES_ON_MS });
  return toast.first().textContent();
}

/** The timeline shows the gap with its cause, and playing jumps over it with a word. */
export async function gap({ page, expect, shot }) {
  const stream = await good(page);
  const { gaps } = await today(page, stream);
  const crash = gaps.find(({ cause }) => cause === "crash");
  if (!crash) throw new Error(`the kill left no gap: ${JSON.stringify(gaps)}`);
  await steps.seekTo(page, stream, crash.start_us - 2e6);
  // Close enough to be pointed at: a gap of seconds is no pixel of a day.
  for (let i = 0; i < 10; i += 1) await page.keyboard.press("+");
  const bar = page.locator(".track.selected .track-gap").first();
  await bar.hover();
  const bubble = await page.locator(".bubble").textContent();
  expect(bubble.includes(crash.sentence), `over the gap the pointer says: ${bubble}`);
  await page.mouse.move(10, 10);
  const list = page.locator(`.gaps [data-cause="crash"]`);
  await page.locator(".gaps summary").click();
  expect((await list.textContent()).includes(crash.sentence), "the list of gaps does not say why");
  await play(page);
  const toast = await toastWith(page, "Skipped");
  expect(toast.includes("without footage") && toast.includes(crash.sentence), `over the gap it says: ${toast}`);
  await shot("gap");
  await playsBeyond(page, crash.end_us + 1e6);
  for (let i = 0; i < 10; i += 1) await page.keyboard.press("-");
  return { bubble, toast };
}

/** One flipped bit costs the pictures up to the next key frame, and is told. */
export async function damage({ page, expect, shot }, segment, atByte) {
  const stream = await good(page);
  const entry = (await today(page, stream)).segments.find(({ id }) => id === segment);
  const index = await page.evaluate(
    async (path) => (await fetch(path)).json(),
    `/api/v1/segments/${stream}/${segment}/index`,
  );
  // A byte between two belongs to the head of the second.
  const hit = index.chunks.find(({ offset, bytes }) => atByte < offset + bytes);
  if (!hit) throw new Error(`no chunk reaches to byte ${atByte}: ${JSON.stringify(index.chunks)}`);
  const next = index.chunks.find(({ k, key }) => k > hit.k && key);
  if (!next) throw new Error("behind the damage there is no key frame to go on with");
  await steps.seekTo(page, stream, entry.start_us + hit.start_us - 2e6);
  await play(page);
  const toast = await toastWith(page, "damaged");
  expect(/^\d+ s of this footage are damaged and were left out\.$/.test(toast), `over the damage it says: ${toast}`);
  await shot("damage");
  await playsBeyond(page, entry.start_us + next.start_us + 1e6);
  // An instant within the damage leads to what comes after it.
  await steps.seekTo(page, stream, entry.start_us + hit.start_us + 1000);
  await playsBeyond(page, entry.start_us + next.start_us + 0.5e6);
  return { toast, hit };
}

/** Requests fail for some seconds: what was read is shown, then it is told, and it goes on by itself. */
export async function lostNetwork({ page, expect, shot }) {
  const stream = await good(page);
  const from = (await today(page, stream)).segments.at(-1);
  let blocked = 0;
  await steps.seekTo(page, stream, from.start_us + from.duration_us - 3e6);
  await play(page);
  await page.context().route(SEGMENTS, (route) => {
    blocked += 1;
    return route.abort();
  });
  await page.locator('.picture[data-state="waiting"]').waitFor({ timeout: GOES_ON_MS });
  const said = await page.locator(".picture .said").textContent();
  expect(said.includes("The box does not answer") && said.includes("Trying again"), `without a network it says: ${said}`);
  await shot("lost-network");
  const at = await wallUs(page);
  await page.context().unroute(SEGMENTS);
  await playsBeyond(page, at + 2e6);
  await page.locator('.picture[data-state="waiting"]').waitFor({ state: "detached" });
  expect(blocked > 0, "nothing was blocked");
  return { blocked, said };
}

/** The box refuses: what was read is shown to its end, and "Try again" goes on from there. */
export async function tryAgain({ page, expect, shot }) {
  const stream = await good(page);
  const error = { error: { code: "internal", message: "The box could not do this." } };
  const from = (await today(page, stream)).segments.at(-1);
  await steps.seekTo(page, stream, from.start_us + from.duration_us - 4e6);
  await play(page);
  const began = await wallUs(page);
  await page.context().route(SEGMENTS, (route) => route.fulfill({ status: 500, json: error }));
  await page.locator('.picture[data-state="error"]').waitFor({ timeout: GOES_ON_MS });
  const at = await wallUs(page);
  expect(at - began > 1e6, `it stopped ${(at - began) / 1e6} s on, with seconds still to show`);
  await shot("error");
  await page.context().unroute(SEGMENTS);
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator('.picture[data-state="ready"]').waitFor();
  await playsBeyond(page, at + 2e6);
  return { shownS: (at - began) / 1e6 };
}
