#!/usr/bin/env node
/**
 * Drives the page of a running box in chromium and prints one JSON object with what it saw.
 *
 *   HEARTHKEEP_URL               https://127.0.0.1:8443
 *   HEARTHKEEP_CLAIM_CODE_FILE   the box's claim-code file (or HEARTHKEEP_CLAIM_CODE); without either, it signs in
 *   HEARTHKEEP_NAME              "Ada"
 *   HEARTHKEEP_PASSPHRASE        "correct otter lamp seventeen"
 *   HEARTHKEEP_CAMERA            the camera to look at; by default the first that plays
 *   HEARTHKEEP_FPS               pictures a second of its clip (15), and
 *   HEARTHKEEP_LOOP              pictures in the clip's loop (120)
 *   HEARTHKEEP_TILES             how many tiles must play at once (1)
 *   HEARTHKEEP_SEEKS             how many seeks to time (20)
 *   HEARTHKEEP_SHOTS             a folder for screenshots; none are made without it
 *
 * Exit code 0 when everything held, 1 when not ("failures" says what), 2 when it could not be tried.
 */
import * as checks from "./checks.mjs";
import { claimCode, drive } from "./driver.mjs";
import { looks } from "./looks.mjs";
import * as steps from "./steps.mjs";

const env = process.env;
const settings = {
  name: env.HEARTHKEEP_NAME ?? "Ada",
  passphrase: env.HEARTHKEEP_PASSPHRASE ?? "correct otter lamp seventeen",
  camera: env.HEARTHKEEP_CAMERA ?? null,
  fps: Number(env.HEARTHKEEP_FPS ?? 15),
  loop: Number(env.HEARTHKEEP_LOOP ?? 120),
  tiles: Number(env.HEARTHKEEP_TILES ?? 1),
  seeks: Number(env.HEARTHKEEP_SEEKS ?? 20),
};

await drive(async ({ page, expect, shot, results }) => {
  const code = await claimCode();
  if (code) {
    results.kit = await steps.claim(page, { ...settings, code, beforeConfirm: () => shot("kit") });
    await page.getByRole("navigation").waitFor();
    expect(/^AGE-SECRET-KEY-PQ-1[0-9A-Z]{58}$/.test(results.kit), "the recovery kit is no age identity");
  } else {
    await steps.signIn(page, settings);
  }
  const tools = { page, settings, expect, shot };
  results.live = await checks.live(tools);
  results.playback = await checks.playback(tools, results.live);
  results.steps = await checks.stepping(tools);
  results.speed = await checks.speed(tools);
  results.snapshot = await checks.snapshot(tools);
  results.tracks = await checks.tracks(tools);
  await checks.fullScreen(tools);
  results.looks = env.HEARTHKEEP_SHOTS ? await looks(page, shot) : null;
  results.reload = await checks.reload(tools);
  results.signOut = await checks.signOut(tools);
});
