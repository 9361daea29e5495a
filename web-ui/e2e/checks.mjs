/** What must hold of a box with at least one camera that plays in this browser. */
import { readFile } from "node:fs/promises";
import { median, readCounter, sleep } from "./counter.mjs";
import * as steps from "./steps.mjs";

const PICTURE = ".picture video";

/** Tiles play, and the picture of one of them moves. */
export async function live({ page, settings, expect, shot }) {
  await page.evaluate(() => {
    location.hash = "#/live";
  });
  const playing = page.locator('.tile[data-state="playing"]');
  const until = Date.now() + 20_000;
  while ((await playing.count()) < settings.tiles && Date.now() < until) await sleep(100);
  await sleep(3000);
  const tiles = await page.$$eval(".tile", (all) =>
    all.map((tile) => {
      const video = tile.querySelector("video");
      const { buffered } = video;
      return {
        camera: tile.getAttribute("aria-label"),
        stream: tile.dataset.stream,
        state: tile.dataset.state,
        behind_s: buffered.length ? buffered.end(buffered.length - 1) - video.currentTime : null,
        said: tile.querySelector(".said")?.textContent ?? null,
      };
    }),
  );
  await shot("live");
  const count = tiles.filter((tile) => tile.state === "playing").length;
  expect(count >= settings.tiles, `${count} tiles play, and ${settings.tiles} should`);
  const watched = tiles.find((tile) => tile.state === "playing" && (!settings.camera || tile.camera === settings.camera));
  if (!watched) throw new Error(`no tile plays that could be watched: ${JSON.stringify(tiles)}`);
  const samples = [];
  for (let i = 0; i < 40; i += 1) {
    samples.push(await readCounter(page, `.tile[data-stream="${watched.stream}"] video`));
    await sleep(120);
  }
  const values = samples.map((sample) => sample?.value ?? -1);
  expect(new Set(values).size > 20, `the live picture hardly moves: ${values}`);
  expect(values.every((value) => value < settings.loop), `a live counter is beyond the clip: ${values}`);
  return { tiles, watched, samples };
}

/** Seeks show the right picture, soon. The counter tells the clip's time; all seeks must agree on when it began. */
export async function playback({ page, settings, expect, shot }, seen) {
  const { stream } = seen.watched;
  const footage = await recorded(page, stream, 15);
  await steps.seekTo(page, stream, footage.at(-1).start_us + 1e6);
  await pauseIt(page);
  const seeks = [];
  for (let i = 0; i < settings.seeks; i += 1) {
    const target = pick(footage, (i * 0.618) % 1);
    const { firstPictureMs, wallUs } = await steps.seekTo(page, stream, target);
    const counter = await readCounter(page, PICTURE);
    seeks.push({ targetUs: target, wallUs, firstPictureMs, counter: counter?.value ?? null });
  }
  await shot("playback");
  const phases = seeks.map(({ targetUs, counter }) => phase(settings, targetUs / 1e6, counter));
  const spread = circularSpread(phases, settings.loop);
  expect(spread <= 1.6, `seeks do not agree on the clip's time: ${JSON.stringify(seeks)}`);
  const firstPictureMs = median(seeks.map((seek) => seek.firstPictureMs));
  expect(firstPictureMs <= 300, `the first picture after a seek takes ${firstPictureMs} ms`);
  // The same clock tells how late live was: when the box got a picture, against when it was on the screen.
  const middle = circularMedian(phases, settings.loop);
  const latencies = seen.samples
    .filter(Boolean)
    .map(({ value, atMs }) => mod((atMs / 1000) * settings.fps - value - middle, settings.loop) / settings.fps);
  return { seeks, spreadPictures: spread, firstPictureMs, liveLatencyS: median(latencies) };
}

/** One key, one picture. */
export async function stepping({ page, settings, expect }) {
  const walk = [];
  for (const key of [".", ".", ".", ".", ".", ",", ",", ","]) {
    const before = (await readCounter(page, PICTURE)).value;
    await page.keyboard.press(key);
    await settled(page);
    const after = (await readCounter(page, PICTURE)).value;
    const by = mod(after - before + settings.loop / 2, settings.loop) - settings.loop / 2;
    walk.push(by);
    expect(by === (key === "." ? 1 : -1), `the key ${key} went ${by} pictures on, from ${before} to ${after}`);
  }
  return walk;
}

export async function speed({ page, expect }) {
  const first = page.locator("time.when");
  const wall = async () => Number(await first.getAttribute("data-wall-us"));
  const ratios = {};
  for (const rate of ["0.5", "2", "8"]) {
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await page.locator('.picture[data-state="ready"]').waitFor();
    await page.getByLabel("Speed").selectOption(rate);
    await page.keyboard.press("k");
    await sleep(700);
    const [fromUs, fromMs] = [await wall(), Date.now()];
    await sleep(1500);
    ratios[rate] = (await wall() - fromUs) / ((Date.now() - fromMs) * 1000);
    await page.keyboard.press("k");
    expect(Math.abs(ratios[rate] / Number(rate) - 1) < 0.35, `at speed ${rate} it plays at ${ratios[rate].toFixed(2)}`);
  }
  await page.getByLabel("Speed").selectOption("1");
  return ratios;
}

export async function snapshot({ page, expect }) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.keyboard.press("s")]);
  const name = download.suggestedFilename();
  expect(/ \d{4}-\d{2}-\d{2} \d{2}-\d{2}-\d{2}\.png$/.test(name), `a picture was saved as ${name}`);
  const png = await readFile(await download.path());
  const shown = await page.$eval(PICTURE, (video) => [video.videoWidth, video.videoHeight]);
  const saved = [png.readUInt32BE(16), png.readUInt32BE(20)];
  expect(png.toString("latin1", 1, 4) === "PNG" && `${saved}` === `${shown}`, `the picture saved is ${saved}, not ${shown}`);
  return { name, saved };
}

/** A key fills the screen with the picture, and gives it back. */
export async function fullScreen({ page, expect }) {
  const filled = () => page.evaluate(() => document.fullscreenElement !== null);
  await page.keyboard.press("f");
  await page.waitForFunction(() => document.fullscreenElement !== null, null, { timeout: 5000 }).catch(() => undefined);
  expect(await filled(), "the key f does not fill the screen");
  await page.keyboard.press("f");
  await page.waitForFunction(() => document.fullscreenElement === null, null, { timeout: 5000 }).catch(() => undefined);
  expect(!(await filled()), "the key f does not give the screen back");
}

/** The day shows each camera on a track of its own. */
export async function tracks({ page, settings, expect }) {
  const count = await page.locator(".timeline-tracks .track").count();
  expect(count >= settings.tiles, `${count} tracks for ${settings.tiles} cameras`);
  return count;
}

/** A reload and a second tab do not ask for the passphrase again. */
export async function reload({ page, expect }) {
  await page.reload();
  await page.getByRole("navigation").waitFor();
  const second = await page.context().newPage();
  await second.goto(page.url());
  await second.getByRole("navigation").waitFor();
  await second.close();
  const kept = await keptNames(page);
  expect(kept.includes("identity"), "nothing is kept for the next reload");
  return kept;
}

/** After signing out nothing opens, and an address that was copied answers 401. */
export async function signOut({ page, expect }) {
  const [stream] = await steps.streams(page);
  const { segments } = await steps.timeline(page, stream.id, Date.now() * 1000 - 86_400e6, Date.now() * 1000);
  const copied = `/api/v1/segments/${stream.id}/${segments[0].id}`;
  await steps.signOut(page);
  const kept = await keptNames(page);
  expect(!kept.includes("identity"), "the identity is still kept after signing out");
  const status = await page.evaluate(async (path) => (await fetch(path)).status, copied);
  expect(status === 401, `a copied address answers ${status} after signing out`);
  return { status, kept };
}

/** The stream's finished and growing segments, once there is enough to seek in. */
async function recorded(page, stream, wantedS) {
  for (let tries = 0; tries < 120; tries += 1) {
    const now = Date.now() * 1000;
    const { segments } = await steps.timeline(page, stream, now - 86_400e6, now);
    const seconds = segments.reduce((sum, segment) => sum + segment.duration_us, 0) / 1e6;
    if (seconds >= wantedS) return segments;
    await sleep(500);
  }
  throw new Error("the box records nothing that could be played");
}

/** An instant at this fraction of all footage, away from the ends of segments. */
function pick(segments, fraction) {
  const total = segments.reduce((sum, segment) => sum + segment.duration_us, 0);
  let left = fraction * total;
  for (const { start_us, duration_us } of segments) {
    if (left < duration_us) return Math.round(start_us + Math.min(left, duration_us - 1.5e6));
    left -= duration_us;
  }
  return segments[0].start_us;
}

async function pauseIt(page) {
  if (await page.getByRole("button", { name: "Pause" }).count()) await page.keyboard.press("k");
}

const settled = (page) =>
  page.waitForFunction((wanted) => !document.querySelector(wanted).seeking, PICTURE).then(() => sleep(80));

async function keptNames(page) {
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        const opening = indexedDB.open("hearthkeep");
        opening.onsuccess = () => {
          const keys = opening.result.transaction("kept").objectStore("kept").getAllKeys();
          keys.onsuccess = () => {
            opening.result.close();
            resolve(keys.result);
          };
        };
      }),
  );
}

const mod = (value, by) => ((value % by) + by) % by;
const phase = ({ fps, loop }, seconds, counter) => mod(seconds * fps - counter, loop);

/** Phases lie on a circle: the spread around the first. */
function circularSpread(phases, loop) {
  const around = phases.map((value) => mod(value - phases[0] + loop / 2, loop) - loop / 2);
  return Math.max(...around) - Math.min(...around);
}

function circularMedian(phases, loop) {
  return phases[0] + median(phases.map((value) => mod(value - phases[0] + loop / 2, loop) - loop / 2));
}
