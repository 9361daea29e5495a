/** All cameras, live. One of them can be enlarged; the others go on beneath. */
import { useEffect, useState } from "preact/hooks";
import type { Stream } from "../api/types";
import { streams } from "../ui/app-state";
import { Notice, Spinner } from "../ui/parts";
import { hrefTo, replaceRoute, route } from "../ui/route";
import { isTyping } from "./Shell";
import { Tile } from "./Tile";

/** A camera that also sends a smaller feed shows that one in the grid. */
function forGrid(all: readonly Stream[], enlarged: string | null): Stream[] {
  const byCamera = new Map<string, Stream>();
  for (const stream of all) {
    const known = byCamera.get(stream.camera);
    if (!known || stream.id === enlarged || (stream.feed === "main" && known.id !== enlarged)) {
      byCamera.set(stream.camera, stream);
    }
  }
  return [...byCamera.values()];
}

export function Live() {
  const all = streams.value;
  const [enlarged, setEnlarged] = useState<string | null>(route.value.stream);
  const hidden = useHiddenFor(30_000);
  const enlarge = (id: string | null) => {
    setEnlarged(id);
    replaceRoute(hrefTo("live", id));
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape" && !isTyping(event)) enlarge(null);
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  if (!all) return <Spinner label="Asking the box for its cameras" />;
  const shown = forGrid(all, enlarged);
  if (shown.length === 0) {
    return (
      <div class="empty">
        <h2>No cameras yet</h2>
        <p>Add one to the configuration file and start Hearthkeep again:</p>
        <pre>{'[[camera]]\nname = "front door"\nurl = "rtsp://192.168.1.20/stream1"'}</pre>
      </div>
    );
  }
  if (hidden) {
    return <Notice kind="info">Live pictures rest while nobody looks.</Notice>;
  }
  const one = enlarged !== null && shown.some((stream) => stream.id === enlarged);
  return (
    <div class={one ? "grid one" : `grid n${Math.min(shown.length, 9)}`} data-count={shown.length}>
      {shown.map((stream) => (
        <Tile
          key={stream.id}
          stream={stream}
          enlarged={stream.id === enlarged}
          alone={shown.length === 1}
          onEnlarge={() => enlarge(stream.id === enlarged ? null : stream.id)}
        />
      ))}
    </div>
  );
}

/** True once the page was out of sight for so long: then nothing needs to be sent, opened and decoded. */
function useHiddenFor(ms: number): boolean {
  const [hidden, setHidden] = useState(false);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onChange = () => {
      clearTimeout(timer);
      if (document.visibilityState === "visible") setHidden(false);
      else timer = setTimeout(() => setHidden(true), ms);
    };
    document.addEventListener("visibilitychange", onChange);
    // A tab that was opened in the background has never been in sight.
    onChange();
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onChange);
    };
  }, [ms]);
  return hidden;
}
