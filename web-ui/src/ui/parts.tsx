/** Small pieces that every view uses. */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Icon, type IconName } from "./icons";

interface ButtonProps {
  icon?: IconName;
  label: string;
  onClick?: () => void;
  kind?: "primary" | "plain" | "quiet";
  /** The label is for assistive technology and the tooltip only. */
  iconOnly?: boolean;
  pressed?: boolean | undefined;
  disabled?: boolean;
  submit?: boolean;
  shortcut?: string;
}

export function Button(props: ButtonProps) {
  const { icon, label, onClick, kind = "plain", iconOnly = false, pressed, disabled = false, shortcut } = props;
  return (
    <button
      type={props.submit ? "submit" : "button"}
      class={`button ${kind}${iconOnly ? " icon-only" : ""}`}
      onClick={onClick}
      disabled={disabled}
      aria-label={iconOnly ? label : undefined}
      aria-pressed={pressed}
      title={iconOnly || shortcut ? (shortcut ? `${label} (${shortcut})` : label) : undefined}
    >
      {icon && <Icon name={icon} />}
      {!iconOnly && <span>{label}</span>}
    </button>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: ComponentChildren;
  error?: string | null;
  type?: "text" | "password" | "datetime-local";
  input?: {
    required?: boolean;
    minLength?: number;
    maxLength?: number;
    step?: number;
    autocomplete?: string;
    autocapitalize?: string;
    spellcheck?: boolean;
    class?: string;
  };
}

export function Field({ label, value, onInput, hint, error, input, type = "text" }: FieldProps) {
  const id = useId();
  const described = [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        {...({ ...input, type } as JSX.IntrinsicElements["input"])}
        id={id}
        value={value}
        onInput={(event) => onInput(event.currentTarget.value)}
        aria-describedby={described || undefined}
        aria-invalid={error ? true : undefined}
      />
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p class="error" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}

export function Notice({ kind, children }: { kind: "error" | "info" | "good"; children: ComponentChildren }) {
  const icon = kind === "error" ? "warning" : kind === "good" ? "check" : "lock";
  return (
    <div class={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>
      <Icon name={icon} />
      <div>{children}</div>
    </div>
  );
}

/** A sentence for anybody; behind "More", what is there for who knows the box well. */
export function Said({ text, detail }: { text: string; detail?: string | undefined }) {
  return (
    <>
      {text}
      {detail && (
        <details class="more">
          <summary>More</summary>
          {detail}
        </details>
      )}
    </>
  );
}

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** A modal dialog of the browser's own: it keeps the focus and closes by Escape. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <div class="dialog-body">
        <header>
          <h2 id={id}>{title}</h2>
          <Button icon="close" label="Close" iconOnly kind="quiet" onClick={() => dialog.current?.close()} />
        </header>
        {children}
      </div>
    </dialog>
  );
}

export function Spinner({ label }: { label: string }) {
  return (
    <div class="spinner" role="status">
      <span class="spinner-ring" aria-hidden="true" />
      <span>{label}</span>
    </div>
  );
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

export function bytesText(bytes: number): string {
  let [value, unit] = [bytes, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}
