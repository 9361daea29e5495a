/** What is kept whatever its age: the list of it, and the means to keep a span or to end that. */
import { useState } from "preact/hooks";
import * as box from "../api/box";
import type { Hold, Stream } from "../api/types";
import { clock, dateText } from "../timeline/day";
import { type Ending, fieldsOf, listed, meantBy, spanBy } from "../timeline/holds";
import type { Span } from "../timeline/scale";
import { holds, loadHolds } from "../ui/app-state";
import { Button, Dialog, Field, Notice } from "../ui/parts";

const NOT_WRITTEN = "It is kept, but the box cannot write that down now: after a restart it would be forgotten. See what is wrong with its disks.";

interface KeepProps {
  stream: Stream;
  span: Span;
}

/** Asks why, and keeps a span. */
export function Keep({ stream, span }: KeepProps) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button icon="lock" label="Keep this" onClick={() => setOpen(true)} />
      {open && <KeepDialog stream={stream} span={span} onClose={() => setOpen(false)} />}
    </>
  );
}

function KeepDialog({ stream, span, onClose }: KeepProps & { onClose: () => void }) {
  // What is in view may move on while somebody types.
  const [first] = useState(span);
  const [from, setFrom] = useState(() => fieldsOf(span).from);
  const [to, setTo] = useState(() => fieldsOf(span).to);
  const [until, setUntil] = useState("");
  const [isAll, setAll] = useState(false);
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const keep = async () => {
    const chosen = spanBy(from, to, first);
    if (chosen === null) return setError("Say from when to when: the end is after the beginning.");
    setBusy(true);
    const streams = isAll ? [] : [stream.id];
    const body = { streams, from_us: chosen.fromUs, to_us: chosen.toUs, until_us: meantBy(until)?.lastUs ?? null, reason };
    const answer = await box.hold(body);
    setBusy(false);
    if (answer.kind === "error") return setError(answer.message);
    await loadHolds();
    if (answer.kind === "success" && !answer.value.written) return setError(NOT_WRITTEN);
    onClose();
  };
  return (
    <Dialog title="Keep this footage" onClose={onClose}>
      <form
        class="keep"
        onSubmit={(event) => {
          event.preventDefault();
          void keep();
        }}
      >
        <p>It is not deleted, however old it grows and however full the disks are, until somebody ends that.</p>
        <Instant label="From" value={from} onInput={setFrom} />
        <Instant label="To" value={to} onInput={setTo} />
        <label class="check">
          <input type="checkbox" checked={isAll} onChange={(event) => setAll(event.currentTarget.checked)} /> Of all cameras, not of{" "}
          {stream.camera} alone
        </label>
        <Field label="Why" value={reason} onInput={setReason} input={{ required: true, maxLength: 500 }} />
        <Instant label="Stop keeping it on (optional)" value={until} onInput={setUntil} />
        {error && <Notice kind="error">{error}</Notice>}
        <Button label="Keep" kind="primary" submit disabled={busy} />
      </form>
    </Dialog>
  );
}

function Instant({ label, value, onInput }: { label: string; value: string; onInput: (value: string) => void }) {
  return <Field label={label} value={value} onInput={onInput} type="datetime-local" input={{ step: 1 }} />;
}

/** All that is kept, to be ended. */
export function Holds({ streams }: { streams: readonly Stream[] }) {
  const [endings, setEndings] = useState<readonly Ending[]>([]);
  const forget = (id: string) => setEndings((all) => all.filter((ending) => ending.hold.id !== id));
  const end = async (hold: Hold) => {
    setEndings((all) => [...all, { hold, error: null }]);
    const answer = await box.endHold(hold.id);
    // The list may lack it already: where its end may be forgotten, the row stays with the reason.
    if (answer.kind === "error") setEndings((all) => all.map((each) => (each.hold.id === hold.id ? { hold, error: answer.message } : each)));
    else forget(hold.id);
    await loadHolds();
  };
  const all = listed(holds.value, endings);
  if (all.length === 0) return <p class="quiet-text">None. “Keep this” below a day’s timeline keeps what is in view.</p>;
  return (
    <ul class="rows">
      {all.map((hold) => {
        const ending = endings.find((each) => each.hold.id === hold.id) ?? null;
        return <Row key={hold.id} {...{ hold, streams, ending }} onEnd={() => void end(hold)} onForget={() => forget(hold.id)} />;
      })}
    </ul>
  );
}

interface RowProps {
  hold: Hold;
  streams: readonly Stream[];
  ending: Ending | null;
  onEnd: () => void;
  onForget: () => void;
}

function Row({ hold, streams, ending, onEnd, onForget }: RowProps) {
  const [asked, setAsked] = useState(false);
  const end = () => {
    setAsked(false);
    onEnd();
  };
  return (
    <li data-hold={hold.id}>
      <div class="row-main">
        <b>{hold.reason}</b>
        <span class="spring" />
        {asked && (
          <>
            <Button label="Let it be deleted" kind="primary" onClick={end} />
            <Button label="Keep it" kind="quiet" onClick={() => setAsked(false)} />
          </>
        )}
        {!asked && !ending && <Button label="End" kind="quiet" onClick={() => setAsked(true)} />}
        {ending?.error && <Button label="Understood" kind="quiet" onClick={onForget} />}
      </div>
      <div class="row-side">
        {camerasOf(hold, streams)} · {when(hold.from_us)} {hold.to_us === null ? "and everything after" : `to ${when(hold.to_us)}`} · set by {hold.who}
        {hold.until_us !== null && ` · kept until ${when(hold.until_us)}`}
      </div>
      {ending?.error && (
        <p class="row-error" role="alert">
          {ending.error}
        </p>
      )}
    </li>
  );
}

const when = (us: number): string => `${dateText(us)}, ${clock(us)}`;

function camerasOf(hold: Hold, streams: readonly Stream[]): string {
  if (hold.streams.length === 0) return "All cameras";
  const names = hold.streams.map((id) => streams.find((stream) => stream.id === id)?.camera ?? "a camera that is gone");
  return [...new Set(names)].join(", ");
}
