import { Dialog } from "../ui/parts";

const KEYS: readonly (readonly [keys: string, what: string])[] = [
  ["Space", "play or pause"],
  ["← →", "10 seconds back or on"],
  ["Shift ← →", "one minute back or on"],
  [", .", "one picture back or on"],
  ["[ ]", "slower or faster"],
  ["↑ ↓", "the camera above or below"],
  ["+ −", "zoom the timeline"],
  ["m", "sound on or off"],
  ["s", "save the picture"],
  ["f", "full screen"],
  ["Esc", "back to all cameras"],
  ["?", "this help"],
];

export function Help({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="fine">On the timeline: drag to look through the day, pinch or turn the wheel to zoom.</p>
    </Dialog>
  );
}
