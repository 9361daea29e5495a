/** Pointer, pinch and wheel on the timeline, as what they mean. */
import { useEffect, useRef } from "preact/hooks";

export type Gesture =
  | { readonly kind: "seek"; readonly fraction: number; readonly stream: string | null; readonly done: boolean }
  | { readonly kind: "hover"; readonly fraction: number | null; readonly stream: string | null }
  | { readonly kind: "zoom"; readonly factor: number; readonly fraction: number }
  /** By this much of the span in view, to later times. */
  | { readonly kind: "pan"; readonly by: number };

const WHEEL_PER_ZOOM = 300;

interface Pressed {
  x: number;
  onRuler: boolean;
}

export function useGestures(area: { readonly current: HTMLElement | null }, act: (gesture: Gesture) => void): void {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const element = area.current;
    if (!element) return undefined;
    const pressed = new Map<number, Pressed>();
    let [pinchWidth, pinchX] = [0, 0];
    let pinched = false;
    let scrubbed: string | null = null;

    const fractionAt = (x: number) => {
      const box = element.getBoundingClientRect();
      return Math.min(Math.max((x - box.left) / Math.max(box.width, 1), 0), 1);
    };
    const streamAt = (event: PointerEvent): string | null => {
      const under = document.elementFromPoint(event.clientX, event.clientY)?.closest<HTMLElement>("[data-stream]");
      return under && element.contains(under) ? (under.dataset["stream"] ?? null) : null;
    };
    const pinch = () => {
      const [a, b] = [...pressed.values()];
      if (!a || !b) return;
      const width = Math.max(Math.abs(a.x - b.x), 20);
      const middle = (a.x + b.x) / 2;
      if (pinchWidth > 0) {
        latest.current({ kind: "zoom", factor: width / pinchWidth, fraction: fractionAt(middle) });
        latest.current({ kind: "pan", by: (pinchX - middle) / Math.max(element.clientWidth, 1) });
      }
      [pinchWidth, pinchX] = [width, middle];
    };

    const down = (event: PointerEvent) => {
      if (event.button !== 0) return;
      const target = event.target as HTMLElement;
      element.setPointerCapture(event.pointerId);
      pressed.set(event.pointerId, { x: event.clientX, onRuler: target.closest("[data-ruler]") !== null });
      if (pressed.size === 2) {
        pinched = true;
        pinchWidth = 0;
        pinch();
      } else if (pressed.size === 1) {
        pinched = false;
        scrubbed = streamAt(event);
        if (!pressed.get(event.pointerId)?.onRuler) {
          latest.current({ kind: "seek", fraction: fractionAt(event.clientX), stream: scrubbed, done: false });
        }
      }
    };
    const move = (event: PointerEvent) => {
      const held = pressed.get(event.pointerId);
      if (!held) {
        latest.current({ kind: "hover", fraction: fractionAt(event.clientX), stream: streamAt(event) });
        return;
      }
      const before = held.x;
      held.x = event.clientX;
      if (pressed.size === 2) pinch();
      else if (held.onRuler) latest.current({ kind: "pan", by: (before - held.x) / Math.max(element.clientWidth, 1) });
      else if (!pinched) {
        latest.current({ kind: "seek", fraction: fractionAt(event.clientX), stream: scrubbed, done: false });
      }
    };
    const up = (event: PointerEvent) => {
      const held = pressed.get(event.pointerId);
      pressed.delete(event.pointerId);
      if (held && pressed.size === 0 && !pinched && !held.onRuler && event.type === "pointerup") {
        latest.current({ kind: "seek", fraction: fractionAt(event.clientX), stream: scrubbed, done: true });
      }
      if (event.pointerType !== "mouse") latest.current({ kind: "hover", fraction: null, stream: null });
    };
    const leave = () => latest.current({ kind: "hover", fraction: null, stream: null });
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const unit = event.deltaMode === 1 ? 16 : 1;
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
        const by = ((event.deltaX || event.deltaY) * unit) / Math.max(element.clientWidth, 1);
        latest.current({ kind: "pan", by });
      } else {
        const factor = Math.exp((-event.deltaY * unit) / WHEEL_PER_ZOOM);
        latest.current({ kind: "zoom", factor, fraction: fractionAt(event.clientX) });
      }
    };

    element.addEventListener("pointerdown", down);
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", up);
    element.addEventListener("pointercancel", up);
    element.addEventListener("pointerleave", leave);
    element.addEventListener("wheel", wheel, { passive: false });
    return () => {
      element.removeEventListener("pointerdown", down);
      element.removeEventListener("pointermove", move);
      element.removeEventListener("pointerup", up);
      element.removeEventListener("pointercancel", up);
      element.removeEventListener("pointerleave", leave);
      element.removeEventListener("wheel", wheel);
    };
  }, []);
}
