/** The recovery kit: shown once, printed or written down, and confirmed by two of its groups. */
import { useMemo, useState } from "preact/hooks";
import { Button, Field, Notice } from "../ui/parts";
import { QrCode } from "../ui/qr";
import type { Kit } from "../vault/protocol";
import { DoorCard } from "./DoorCard";

interface PageProps {
  kit: Kit;
  store: string;
  name: string;
  onDone: () => void;
}

export function KitPage({ kit, store, name, onDone }: PageProps) {
  return (
    <DoorCard title="Your recovery kit" wide>
      <p class="no-print">
        Print this page or copy it by hand, and keep it where you keep what must not be lost. <b>It is shown only now.</b>{" "}
        With it you get at your footage when the passphrase is forgotten; without both, nobody ever does.
      </p>
      <section class="kit" aria-label="Recovery kit">
        <div class="kit-head">
          <div>
            <h2>Hearthkeep recovery kit</h2>
            <p>
              Owner <b>{name}</b>
              <br />
              Made on {new Date().toLocaleDateString(undefined, { dateStyle: "long" })}
            </p>
          </div>
          <QrCode text={kit.text} label="The same secret as a QR code" />
        </div>
        <ol class="kit-groups">
          {kit.groups.map((group, at) => (
            <li key={at}>
              <span class="kit-number">{at + 1}</span>
              <span class="kit-group">{group}</span>
            </li>
          ))}
        </ol>
        <dl class="kit-facts">
          <dt>Store</dt>
          <dd>{store}</dd>
          <dt>Owner’s key</dt>
          <dd>{kit.fingerprint}</dd>
        </dl>
        <p class="kit-words">
          Whoever holds this page can watch everything that was recorded. The QR code and the line below are an age identity:
          with a disk of the box, any program that follows docs/format.md opens its footage.
        </p>
        <p class="kit-line">{kit.text}</p>
      </section>
      <div class="actions no-print">
        <Button icon="print" label="Print" onClick={() => print()} />
        <Button label="I have it on paper" kind="primary" onClick={onDone} />
      </div>
    </DoorCard>
  );
}

interface ConfirmProps {
  kit: Kit;
  busy: boolean;
  onBack: () => void;
  onConfirmed: () => void;
}

const clean = (text: string): string => text.replace(/[\s-]/g, "").toUpperCase();

export function KitConfirm({ kit, busy, onBack, onConfirmed }: ConfirmProps) {
  const asked = useMemo(() => twoOf(kit.groups.length), [kit]);
  const [typed, setTyped] = useState<readonly [string, string]>(["", ""]);
  const [wrong, setWrong] = useState(false);
  const submit = (event: Event) => {
    event.preventDefault();
    const right = asked.every((group, at) => clean(typed[at] ?? "") === kit.groups[group]);
    setWrong(!right);
    if (right) onConfirmed();
  };
  return (
    <DoorCard title="Is it safe on paper?">
      <p>Type two groups from your recovery kit, as they stand on the paper.</p>
      <form onSubmit={submit} autocomplete="off">
        {asked.map((group, at) => (
          <Field
            key={group}
            label={`Group ${group + 1}`}
            value={typed[at] ?? ""}
            onInput={(value) => setTyped(at === 0 ? [value, typed[1]] : [typed[0], value])}
            input={{ required: true, class: "code", autocapitalize: "characters", spellcheck: false, autocomplete: "off" }}
          />
        ))}
        {wrong && (
          <Notice kind="error">That is not what your kit says. Compare it with the paper, character by character.</Notice>
        )}
        <div class="actions">
          <Button label="Show the kit again" onClick={onBack} disabled={busy} />
          <Button label={busy ? "Claiming" : "Claim this box"} kind="primary" submit disabled={busy} />
        </div>
      </form>
    </DoorCard>
  );
}

/** Two different positions below `count`, at random, in order. */
function twoOf(count: number): number[] {
  const random = crypto.getRandomValues(new Uint32Array(2));
  const first = (random[0] ?? 0) % count;
  const second = (first + 1 + ((random[1] ?? 0) % (count - 1))) % count;
  return [first, second].sort((a, b) => a - b);
}
