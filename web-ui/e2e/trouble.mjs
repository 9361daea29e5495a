#!/usr/bin/env node
/**
 * Drives the page of a box where something is wrong; tests/browser/trouble.rs makes it so.
 *
 *   trouble.mjs bad-input      cameras that do not work, a gap, a damaged chunk, a network that goes
 *   trouble.mjs no-disk        no disk to record on
 *   trouble.mjs wrong-clock    a clock at 1970
 *   trouble.mjs lost-claim     a claim whose answer never comes
 *   trouble.mjs log            a browser that comes back: what it says of the signed log
 *   trouble.mjs removed        a segment that somebody removed
 *   trouble.mjs gap            a camera that goes and comes back, and packets that are lost
 *   trouble.mjs keep           footage that is to be kept
 *   trouble.mjs unwritten      that the end of that cannot be written
 *   trouble.mjs let-go         that it is not to be kept any more
 *
 *   HEARTHKEEP_URL, HEARTHKEEP_NAME, HEARTHKEEP_PASSPHRASE, HEARTHKEEP_SHOTS   as run.mjs has them
 *   HEARTHKEEP_PROFILE   the folder of a browser that comes back
 *   HEARTHKEEP_SIGNALS   the folder in which a file is made by what has been seen, for who waits to change something
 *   HEARTHKEEP_SAYS      what it says of the log; without it, that all is well
 *   HEARTHKEEP_DAMAGED, HEARTHKEEP_DAMAGED_AT   the segment with a flipped bit, and at which of its bytes
 */
import * as cameras from "./bad-cameras.mjs";
import { claimCode, drive } from "./driver.mjs";
import { looks } from "./looks.mjs";
import * as gap from "./gap.mjs";
import * as hold from "./hold.mjs";
import * as log from "./log.mjs";
import * as playback from "./bad-playback.mjs";
import * as steps from "./steps.mjs";

const env = process.env;
const who = { name: env.HEARTHKEEP_NAME, passphrase: env.HEARTHKEEP_PASSPHRASE };

const scenarios = {
  async "bad-input"(tools) {
    const { page, results, shot } = tools;
    await cameras.wrongPassphrase(tools, who);
    await steps.signIn(page, who);
    results.tiles = await cameras.tiles(tools);
    results.box = await cameras.box(tools);
    await cameras.locked(tools);
    results.gap = await playback.gap(tools);
    results.damage = await playback.damage(tools, env.HEARTHKEEP_DAMAGED, Number(env.HEARTHKEEP_DAMAGED_AT));
    results.lost = await playback.lostNetwork(tools);
    results.again = await playback.tryAgain(tools);
    if (env.HEARTHKEEP_SHOTS) await looks(page, shot, "trouble-");
    await cameras.managedSource(tools);
    await cameras.noWorker(tools);
    await cameras.untoldSignOut(tools, who);
  },

  async "no-disk"({ page, expect, shot, results }) {
    await steps.signIn(page, who);
    const disk = page.locator('[data-trouble="disk"]');
    await disk.first().waitFor();
    results.disk = await disk.allTextContents();
    expect(results.disk.some((text) => text.includes("its disk is not mounted")), `a disk that is away: ${results.disk}`);
    const said = page.locator('.tile[aria-label="good"] .said');
    await said.getByText("there is no disk to record on").waitFor();
    await shot("no-disk");
  },

  async "wrong-clock"({ page, expect, shot, results }) {
    await steps.signIn(page, who);
    const banner = page.locator('[data-trouble="clock"]');
    await banner.waitFor();
    results.clock = await banner.textContent();
    expect(results.clock.includes("does not know what time it is"), `a wrong clock: ${results.clock}`);
    await shot("wrong-clock");
  },

  async log(tools) {
    await steps.signInAgain(tools.page, who);
    tools.results.log = await log.said(tools, env.HEARTHKEEP_SAYS);
  },

  async removed(tools) {
    await steps.signInAgain(tools.page, who);
    tools.results.removed = await log.removed(tools);
  },

  async gap(tools) {
    await steps.signIn(tools.page, who);
    tools.results.recorded = await gap.recorded(tools);
    tools.results.gap = await gap.open(tools, env.HEARTHKEEP_SIGNALS);
    tools.results.damaged = await gap.damaged(tools, env.HEARTHKEEP_SIGNALS);
  },

  async keep(tools) {
    await steps.signInAgain(tools.page, who);
    tools.results.kept = await hold.keep(tools);
  },

  async unwritten(tools) {
    await steps.signInAgain(tools.page, who);
    await hold.unwritten(tools);
  },

  async "let-go"(tools) {
    await steps.signInAgain(tools.page, who);
    tools.results.row = await hold.letGo(tools);
  },

  /** The box takes the claim, and the network goes before its answer is there. */
  async "lost-claim"({ page, expect, shot, results }) {
    let taken = null;
    await page.context().route("**/api/v1/claim", async (route) => {
      taken = (await route.fetch()).status();
      await route.abort();
    });
    await steps.claim(page, { ...who, code: await claimCode() });
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    results.said = await page.locator(".notice").textContent();
    expect(taken === 201, `the box answered the claim with ${taken}`);
    expect(results.said.includes("This box is claimed. Sign in"), `after a lost answer: ${results.said}`);
    await shot("lost-claim");
    await steps.signIn(page, who);
  },
};

const scenario = scenarios[process.argv[2]];
if (!scenario) {
  console.error(`there is no scenario ${process.argv[2]}; there are: ${Object.keys(scenarios).join(", ")}`);
  process.exit(2);
}
// What was blocked or refused on purpose is in the browser's console too.
await drive(scenario, { expected: /Failed to load resource|net::ERR|WebSocket connection/ });
