/** What the box says of itself: cameras, disks, fingerprint. */
import { useEffect, useState } from "preact/hooks";
import * as box from "../api/box";
import type { Failure } from "../api/result";
import type { BoxStatus, Stream } from "../api/types";
import { clock, dateText } from "../timeline/day";
import { streams } from "../ui/app-state";
import { Notice, Spinner, bytesText } from "../ui/parts";

const EVERY_MS = 5000;

export function Box() {
  const [status, setStatus] = useState<BoxStatus | null>(null);
  const [error, setError] = useState<Failure | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    const ask = async () => {
      const answer = await box.status(controller.signal);
      if (answer.kind === "success") {
        setStatus(answer.value);
        setError(null);
      } else if (answer.kind === "error") setError(answer);
    };
    void ask();
    const timer = setInterval(ask, EVERY_MS);
    return () => {
      controller.abort();
      clearInterval(timer);
    };
  }, []);
  return (
    <div class="pages">
      {error && <Notice kind="error">{error.message}</Notice>}
      <section>
        <h2>Cameras</h2>
        {streams.value ? <Cameras all={streams.value} /> : <Spinner label="Asking" />}
      </section>
      {status && (
        <>
          <section>
            <h2>Disks</h2>
            <Disks status={status} />
          </section>
          <section>
            <h2>This box</h2>
            <dl class="facts">
              <dt>State</dt>
              <dd>
                {status.state === "locked" ? "Locked: it cannot read what it recorded. Your browser opens it with your key." : status.state}
              </dd>
              <dt>Version</dt>
              <dd>{status.version}</dd>
              <dt>Certificate fingerprint</dt>
              <dd class="mono">{status.fingerprint}</dd>
            </dl>
            <p class="fine">The fingerprint also stands on the box’s console. If yours differs, somebody sits between.</p>
          </section>
        </>
      )}
    </div>
  );
}

const STATES: Record<Stream["state"], string> = {
  recording: "Recording",
  connecting: "Connecting",
  waiting: "Waiting",
  failed: "Failed",
  stopped: "Stopped",
};

function Cameras({ all }: { all: readonly Stream[] }) {
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
            {bytesText(stream.bytes_stored)}
            {stream.first_us !== null && ` · since ${dateText(stream.first_us)}, ${clock(stream.first_us)}`}
          </div>
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

function Disks({ status }: { status: BoxStatus }) {
  return (
    <ul class="rows">
      {status.disks.map((disk) => {
        const total = disk.used_bytes + disk.free_bytes;
        return (
          <li key={disk.path}>
            <div class="row-main">
              <b class="mono">{disk.path}</b>
            </div>
            <meter min={0} max={Math.max(total, 1)} value={disk.used_bytes} aria-label={`${disk.path}, used`} />
            <div class="row-side">
              {bytesText(disk.used_bytes)} of footage · {bytesText(disk.free_bytes)} free
            </div>
            {disk.error && <p class="row-error">{disk.error}</p>}
          </li>
        );
      })}
    </ul>
  );
}
