import { useState } from "preact/hooks";
import type { BoxState } from "../api/types";
import { enter } from "../ui/app-state";
import { Button, Field, Notice } from "../ui/parts";
import { vault } from "../vault/vault";
import { DoorCard } from "./DoorCard";

export function SignIn({ box, note, name: known }: { box: BoxState; note: string | null; name: string }) {
  const [name, setName] = useState(known);
  const [passphrase, setPassphrase] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [forgotten, setForgotten] = useState(false);
  const [busy, setBusy] = useState(false);

  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    const answer = await vault.attempt(null, "signIn", box.store, name.trim(), passphrase);
    setBusy(false);
    if (answer.kind === "success") {
      setPassphrase("");
      enter(box, answer.value);
    } else if (answer.kind === "error") {
      setError(answer.message);
      setForgotten(answer.code === "wrong-sign-in");
    }
  };

  return (
    <DoorCard title="Sign in">
      {note && <Notice kind="info">{note}</Notice>}
      <form onSubmit={submit}>
        <Field
          label="Name"
          value={name}
          onInput={setName}
          input={{ autocomplete: "username", required: true, maxLength: 64, autocapitalize: "none", spellcheck: false }}
        />
        <Field
          label="Passphrase"
          value={passphrase}
          onInput={setPassphrase}
          type="password"
          input={{ autocomplete: "current-password", required: true }}
          error={error}
        />
        <Button label={busy ? "Opening your key" : "Sign in"} kind="primary" submit disabled={busy} />
      </form>
      {forgotten && (
        <Notice kind="info">
          Forgotten? Nobody can look the passphrase up. With your <b>recovery kit</b> (its line in a file) you set another one on
          the box, with <code>hearthkeep keys passphrase --kit FILE</code>; and the kit alone opens what was recorded, on the
          box or with one of its disks on any computer: <code>hearthkeep export --kit FILE</code>.
        </Notice>
      )}
      <p class="fine">
        Your passphrase stays in this browser. It opens your key here; the box only learns that you know it.
      </p>
    </DoorCard>
  );
}
