/** What the box says of itself: cameras, disks, clock, and how to know it. */
import { sentence } from "../api/sentence";
import type { BoxStatus, Disk, Forecast, Stream } from "../api/types";
import { clock, dateText } from "../timeline/day";
import { status, streams, witness } from "../ui/app-state";
import { Said, Spinner, bytesText } from "../ui/parts";
import { CLOCK_WRONG, safeText } from "../ui/troubles";
import { complaintOf, wellText } from "../ui/witness";
import { Holds } from "./Holds";
import { YourBox } from "./YourBox";

export function Box() {
  const told = status.value;
  return (
    <div class="pages">
      <section>
        <h2>Cameras</h2>
        {streams.value ? <Cameras all={streams.value} forecast={told?.forecast ?? []} /> : <Spinner label="Asking" />}
      </section>
      <section>
        <h2>Kept footage</h2>
        <Holds streams={streams.value ?? []} />
      </section>
      {told ? <Told status={told} /> : <Spinner label="Asking" />}
    </div>
  );
}

function Told({ status: told }: { status: BoxStatus }) {
  const complaint = complaintOf(witness.value);
  return (
    <>
      <section>
        <h2>Disks</h2>
        <Disks status={told} />
      </section>
      <section>
        <h2>This box</h2>
        <dl class="facts">
          <dt>State</dt>
          <dd>
            {told.state === "locked" ? "Locked: it cannot read what it recorded. Your browser opens it with your key." : told.state}
          </dd>
          <dt>Clock</dt>
          <dd class={told.clock_trusted ? undefined : "row-error"}>{told.clock_trusted ? "Set." : CLOCK_WRONG}</dd>
          <dt>Removed footage</dt>
          <dd class={complaint ? "row-error" : undefined} data-log>
            {complaint ? <Said {...complaint} /> : wellText(witness.value, told.log_troubles.length > 0)}
          </dd>
          <dt>Disks’ speed</dt>
          <dd>{safeText(told.fsync_p99_ms)}</dd>
          <dt>Version</dt>
          <dd>{told.version}</dd>
          <dt>Fingerprint of the certificate to trust</dt>
          <dd class="mono">{told.fingerprint}</dd>
        </dl>
      </section>
      <section>
        <h2>Is it your box?</h2>
        <YourBox />
      </section>
    </>
  );
}

const STATES: Record<Stream["state"], string> = {
  recording: "Recording",
  connecting: "Connecting",
  waiting: "Waiting",
  failed: "Failed",
  stopped: "Stopped",
};

function Cameras({ all, forecast }: { all: readonly Stream[]; forecast: readonly Forecast[] }) {
  return (
    <ul class="rows">
      {all.map((stream) => (
        <li key={stream.id}>
          <div class="row-main">
            <b>{stream.camera}</b>
            {stream.feed !== "main" && <span class="quiet-text"> {stream.feed}</span>}
            <span class={`dot ${stream.state}`}>{STATES[stream.state] ?? stream.state}</span>
          </div>
          <div class="row-side">
            {stream.width !== null && stream.height !== null && `${stream.width} × ${stream.height} · `}
            {stream.audio ? "with sound · " : ""}
            {stream.bytes_stored === 0 ? "nothing recorded" : bytesText(stream.bytes_stored)}
            {stream.first_us !== null && ` · since ${dateText(stream.first_us)}, ${clock(stream.first_us)}`}
          </div>
          <Kept forecast={forecast.find((each) => each.camera === stream.camera)} />
          {stream.error && (
            <p class="row-error">
              {stream.error.message} {stream.error.advice}
            </p>
          )}
        </li>
      ))}
    </ul>
  );
}

/** What is done with a disk, where that is more than being recorded to. */
function diskText({ state, tier, drain }: Disk): string | null {
  if (state === "draining" && drain) {
    const all = drain.moved_bytes + drain.left_bytes;
    const percent = all === 0 ? 100 : Math.floor((drain.moved_bytes / all) * 100);
    return `Being emptied: ${percent} % moved, ${bytesText(drain.left_bytes)} left`;
  }
  if (state === "drained") return "Empty: it can be taken out";
  if (state === "absent") return "Not there";
  return tier === "cold" ? "For old footage" : null;
}

/** What is on a disk, and what of it is free; of one that is not there nobody knows. */
const usedText = ({ state, used_bytes: used, free_bytes: free }: Disk): string =>
  state === "absent" ? `${bytesText(used)} of footage, to be seen again when it is back` : `${bytesText(used)} of footage${free === null ? "" : ` · ${bytesText(free)} free`}`;

/** For how long there is room on a disk, and what of it is held. */
function roomText({ full_in_days: days, held_bytes: held }: Disk): string {
  const room = days === null ? [] : [days === 0 ? "The oldest goes for the newest" : `Room for ${daysText(days)} more`];
  return [...room, ...(held !== null && held > 0 ? [`${bytesText(held)} kept by hand`] : [])].join(" · ");
}

/** For how long a camera's footage is kept. */
function Kept({ forecast }: { forecast: Forecast | undefined }) {
  if (!forecast || forecast.bytes_per_day === null) return null;
  return (
    <div class={forecast.trouble ? "row-error" : "row-side"}>
      {bytesText(forecast.bytes_per_day)} a day · {forecast.days === null ? "kept without end" : `kept for ${daysText(forecast.days)}`}
      {forecast.keep_days !== null && `, of the ${forecast.keep_days} that are wanted`}
    </div>
  );
}

const daysText = (days: number): string => (days < 10 ? `${days.toFixed(1)} days` : `${Math.floor(days)} days`);

const when = (us: number): string => `${dateText(us)}, ${clock(us)}`;

/** Whether the footage of a disk is still what was written, as far as the box has read it again. */
function ReadAgain({ disk: { scrub } }: { disk: Disk }) {
  if (!scrub) return null;
  const found = scrub.damaged === 0 ? "found whole" : `${scrub.damaged === 1 ? "one piece" : `${scrub.damaged} pieces`} found damaged or missing`;
  const last = scrub.finished_us === null ? "" : ` Last finished ${when(scrub.finished_us)}.`;
  const text =
    scrub.state === "resting"
      ? `All footage from before ${when(scrub.begun_us)} read again and ${found}.${last}`
      : `Being read again, to find damage: ${scrub.percent} % since ${when(scrub.begun_us)}, ${found}${scrub.state === "waiting" ? "; recording needs the disk now" : ""}.${last}`;
  return (
    <>
      <div class="row-side">{text}</div>
      {scrub.trouble && <p class="row-error">{sentence(scrub.trouble)}</p>}
      {scrub.findings.length > 0 && (
        <details>
          <summary>What was found</summary>
          <ul>
            {scrub.findings.map(({ path, stream, what, from_us, to_us }) => (
              <li key={path}>
                {streams.value?.find((each) => each.id === stream)?.camera ?? "A camera"}
                {from_us !== null && to_us !== null && `, ${when(from_us)} to ${clock(to_us)}`}: {what} <span class="mono">{path}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

function Disks({ status: told }: { status: BoxStatus }) {
  return (
    <ul class="rows">
      {told.disks.map((disk) => {
        const total = disk.used_bytes + (disk.free_bytes ?? 0);
        return (
          <li key={disk.path}>
            <div class="row-main">
              <b class="mono">{disk.path}</b>
              {diskText(disk) && <span class="quiet-text"> {diskText(disk)}</span>}
            </div>
            {disk.state !== "absent" && <meter min={0} max={Math.max(total, 1)} value={disk.used_bytes} aria-label={`${disk.path}, used`} />}
            <div class="row-side">{usedText(disk)}</div>
            <div class="row-side">{roomText(disk)}</div>
            <ReadAgain disk={disk} />
            {disk.trouble && <p class="row-error">{sentence(disk.trouble)}</p>}
            {disk.error && <p class="row-error">{sentence(disk.error)}</p>}
            {disk.slow && <p class="row-error">{sentence(disk.slow)}</p>}
          </li>
        );
      })}
    </ul>
  );
}
