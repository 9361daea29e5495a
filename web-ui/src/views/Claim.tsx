/** First run: who owns this box. The keys are made here, in the browser. */
import { useEffect, useState } from "preact/hooks";
import * as api from "../api/box";
import type { Failure } from "../api/result";
import type { BoxState } from "../api/types";
import { enter, toSignIn } from "../ui/app-state";
import { Button, Field, Notice } from "../ui/parts";
import type { Kit } from "../vault/protocol";
import { vault } from "../vault/vault";
import { DoorCard } from "./DoorCard";
import { KitConfirm, KitPage } from "./Kit";

type Step = "person" | "kit" | "confirm" | "code-again";

/** The answer to a claim may be lost on the way back while the claim is made. */
const CLAIMED =
  "This box is claimed. Sign in with the name and the passphrase that you have just chosen; the recovery kit you printed belongs to them. If that is refused, somebody else was faster.";

const NOT_EQUAL = "The two passphrases differ.";

export function Claim({ box }: { box: BoxState }) {
  const [step, setStep] = useState<Step>("person");
  const [code, setCode] = useState("");
  const [name, setName] = useState("");
  const [kit, setKit] = useState<Kit | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const prepare = async (passphrase: string) => {
    setBusy(true);
    setError(null);
    const answer = await vault.attempt(null, "prepareClaim", box.store, name.trim(), passphrase);
    setBusy(false);
    if (answer.kind === "error") setError(answer.message);
    if (answer.kind !== "success") return;
    setKit(answer.value);
    setStep("kit");
  };

  const finish = async () => {
    setBusy(true);
    setError(null);
    const answer = await vault.attempt(null, "claim", code.trim());
    setBusy(false);
    if (answer.kind === "success") {
      setKit(null);
      enter(box, answer.value);
    } else if (answer.kind === "error") {
      if (await isClaimedNow(answer)) return toSignIn(box, CLAIMED, name.trim());
      setError(answer.message);
      setStep("code-again");
    }
  };

  if (step === "kit" && kit) {
    return <KitPage kit={kit} store={box.store} name={name.trim()} onDone={() => setStep("confirm")} />;
  }
  if (step === "confirm" && kit) {
    return <KitConfirm kit={kit} busy={busy} onBack={() => setStep("kit")} onConfirmed={finish} />;
  }
  if (step === "code-again") {
    return (
      <DoorCard title="Enter the claim code">
        <p>Your keys and your recovery kit are ready and stay as they are. Only the code is missing.</p>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void finish();
          }}
        >
          <CodeField code={code} onInput={setCode} error={error} />
          <Button label={busy ? "Claiming" : "Claim this box"} kind="primary" submit disabled={busy} />
        </form>
      </DoorCard>
    );
  }
  return (
    <DoorCard title="This box has no owner yet">
      <p>
        Make it yours. Your keys are made in this browser; the box gets only what it needs to seal footage, and can never
        open it.
      </p>
      <PersonForm {...{ code, setCode, name, setName, busy, error }} onSubmit={prepare} />
    </DoorCard>
  );
}

async function isClaimedNow({ code, status }: Failure): Promise<boolean> {
  if (status !== 0 && status < 500) return code === "already-claimed";
  const state = await api.state();
  return state.kind === "success" && state.value.claimed;
}

function CodeField({ code, onInput, error }: { code: string; onInput: (code: string) => void; error?: string | null }) {
  return (
    <Field
      label="Claim code"
      value={code}
      onInput={onInput}
      hint="It stands on the console where Hearthkeep was started, and in the file claim-code of its state folder. A new one comes every 30 minutes."
      error={error ?? null}
      input={{ required: true, autocomplete: "one-time-code", autocapitalize: "characters", spellcheck: false, class: "code" }}
    />
  );
}

interface PersonProps {
  code: string;
  setCode: (code: string) => void;
  name: string;
  setName: (name: string) => void;
  busy: boolean;
  error: string | null;
  onSubmit: (passphrase: string) => void;
}

function PersonForm({ code, setCode, name, setName, busy, error, onSubmit }: PersonProps) {
  const [passphrase, setPassphrase] = useState("");
  const [again, setAgain] = useState("");
  const [shown, setShown] = useState(false);
  const weakness = useWeakness(passphrase);
  const differs = again !== "" && again !== passphrase;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (!differs && weakness === "") onSubmit(passphrase);
      }}
    >
      <CodeField code={code} onInput={setCode} />
      <Field
        label="Your name"
        value={name}
        onInput={setName}
        hint="You sign in with it."
        input={{ required: true, maxLength: 64, autocomplete: "username", spellcheck: false }}
      />
      <Field
        label="Passphrase"
        value={passphrase}
        onInput={setPassphrase}
        hint={passphrase === "" ? "At least 12 characters. Four or five words that do not belong together do well." : undefined}
        type={shown ? "text" : "password"}
        input={{ required: true, minLength: 12, autocomplete: "new-password" }}
      />
      {passphrase !== "" && <Strength weakness={weakness} />}
      <Field
        label="Passphrase again"
        value={again}
        onInput={setAgain}
        error={differs ? NOT_EQUAL : null}
        type={shown ? "text" : "password"}
        input={{ required: true, autocomplete: "new-password" }}
      />
      <label class="check">
        <input type="checkbox" checked={shown} onChange={(event) => setShown(event.currentTarget.checked)} />
        Show the passphrase
      </label>
      {error && <Notice kind="error">{error}</Notice>}
      <Button
        label={busy ? "Making your keys" : "Make my keys"}
        kind="primary"
        submit
        disabled={busy || differs || weakness !== ""}
      />
    </form>
  );
}

function Strength({ weakness }: { weakness: string | null }) {
  return (
    <p class={weakness === "" ? "strength good" : "strength"} role="status">
      {weakness === null ? "…" : weakness === "" ? "Strong enough." : weakness}
    </p>
  );
}

/** What is wrong with a passphrase, in the core's words; empty when nothing is, null while unknown. */
function useWeakness(passphrase: string): string | null {
  const [weakness, setWeakness] = useState<string | null>(null);
  useEffect(() => {
    let current = true;
    if (passphrase === "") {
      setWeakness(null);
      return undefined;
    }
    vault
      .call("strength", passphrase)
      .then((sentence) => current && setWeakness(sentence))
      .catch((fault: unknown) => current && setWeakness(fault instanceof Error ? fault.message : String(fault)));
    return () => {
      current = false;
    };
  }, [passphrase]);
  return weakness;
}
