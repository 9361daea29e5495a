/** The page for somebody who is in: navigation, the sealed state, and the view. */
import { useEffect, useState } from "preact/hooks";
import { isNotKept, signOut, status, streams, streamsFailure, witness } from "../ui/app-state";
import { Icon, type IconName, Mark } from "../ui/icons";
import { Button, Dialog, Notice, Said } from "../ui/parts";
import { type RouteName, hrefTo, route } from "../ui/route";
import { troubles } from "../ui/troubles";
import { complaintOf } from "../ui/witness";
import { Box } from "./Box";
import { Help } from "./Help";
import { Live } from "./Live";
import { PlaybackView } from "./PlaybackView";
import { ThemeButton } from "./ThemeButton";

const VIEWS: readonly { name: RouteName; label: string; icon: IconName }[] = [
  { name: "live", label: "Live", icon: "live" },
  { name: "playback", label: "Playback", icon: "history" },
  { name: "box", label: "Box", icon: "box" },
];

export function Shell({ name }: { name: string }) {
  const [open, setOpen] = useState<"sealed" | "help" | "person" | null>(null);
  const close = () => setOpen(null);
  const at = route.value.name;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "?" && !isTyping(event)) setOpen("help");
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  return (
    <div class="shell">
      <header class="bar">
        <a class="brand" href={hrefTo("live")} aria-label="Hearthkeep, live">
          <Mark /> <span>Hearthkeep</span>
        </a>
        <nav aria-label="Views">
          {VIEWS.map((view) => (
            <a key={view.name} href={hrefTo(view.name)} aria-current={at === view.name ? "page" : undefined}>
              <Icon name={view.icon} />
              <span>{view.label}</span>
            </a>
          ))}
        </nav>
        <div class="bar-end">
          <button type="button" class="sealed" onClick={() => setOpen("sealed")} title="What locked means">
            <Icon name="lock" />
            <span>Locked</span>
          </button>
          <ThemeButton />
          <span class="wide-only">
            <Button icon="help" label="Help and keys" shortcut="?" iconOnly kind="quiet" onClick={() => setOpen("help")} />
          </span>
          <Button icon="person" label={`Signed in as ${name}`} iconOnly kind="quiet" onClick={() => setOpen("person")} />
        </div>
      </header>
      {streamsFailure.value && <Notice kind="error">{streamsFailure.value.message}</Notice>}
      {isNotKept.value && <NotKept />}
      <Troubles />
      <main class={`view view-${at}`}>
        {at === "live" && <Live />}
        {at === "playback" && <PlaybackView />}
        {at === "box" && <Box />}
      </main>
      {open === "sealed" && <Sealed onClose={close} />}
      {open === "help" && <Help onClose={close} />}
      {open === "person" && (
        <Dialog title={name} onClose={close}>
          <p>
            Your key is open in this tab
            {isNotKept.value ? ". " : ", and kept for the next one under a key that this browser does not give out. "}
            Signing out erases it.
          </p>
          <div class="actions">
            <Button label="Sign out" kind="primary" onClick={() => void signOut()} />
          </div>
        </Dialog>
      )}
    </div>
  );
}

/** Wherever one is: what is wrong must not wait until somebody opens the box's own view. */
function Troubles() {
  const found = troubles(status.value, streams.value, complaintOf(witness.value));
  return found.length === 0 ? null : (
    <div class="troubles" role="status">
      <Icon name="warning" />
      <ul>
        {found.map(({ kind, text, detail }) => (
          <li key={text} data-trouble={kind}>
            <Said text={text} detail={detail} />
          </li>
        ))}
      </ul>
      <a href={hrefTo("box")}>See the box</a>
    </div>
  );
}

function NotKept() {
  return (
    <Notice kind="info">
      This browser could not keep your key (a private window, or its storage is full or switched off): you will be asked for
      your passphrase again after a reload.{" "}
      <button
        type="button"
        class="link"
        onClick={() => {
          isNotKept.value = false;
        }}
      >
        Understood
      </button>
    </Notice>
  );
}

function Sealed({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Locked" onClose={onClose}>
      <p class="lead">This box cannot read what it recorded. Your browser opens it with your key.</p>
      <ul class="explained">
        <li>
          <b>Sealed as it is recorded.</b> Every picture is encrypted before it reaches a disk. The box keeps only what it
          needs to seal, not what opens.
        </li>
        <li>
          <b>Opened here.</b> What you watch comes sealed and is opened in this tab. Your key never leaves it.
        </li>
        <li>
          <b>A stolen box or disk shows nothing.</b> Without your passphrase or your recovery kit, its footage stays shut.
        </li>
        <li>
          <b>What this does not cover.</b> Whoever controls the box while it runs sees what cameras send from then on, and the
          rest of the current key period (at most a day); and this page trusts the box to serve it unaltered. The command line on your own machine does not.
        </li>
      </ul>
    </Dialog>
  );
}

export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target;
  return (
    event.ctrlKey || event.metaKey || event.altKey ||
    (target instanceof HTMLElement && target.closest("input, textarea, select, dialog") !== null)
  );
}
