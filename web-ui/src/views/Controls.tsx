import { type Playback, RATES } from "../player/playback";
import { clock, dateText } from "../timeline/day";
import { Button } from "../ui/parts";
import { togglePlaying } from "./playback-keys";

interface Props {
  player: Playback;
  audio: boolean;
  save: () => void;
  fullScreen: () => void;
}

export function Controls({ player, audio, save, fullScreen }: Props) {
  const wallUs = player.wallUs.value;
  const playing = player.playing.value;
  const muted = player.muted.value;
  return (
    <div class="controls">
      <div class="controls-left">
        <time class="when" data-wall-us={wallUs}>
          <b>{clock(wallUs, !playing)}</b> <span>{dateText(wallUs)}</span>
        </time>
      </div>
      <div class="controls-middle">
        <Button icon="back10" label="10 seconds back" shortcut="←" iconOnly kind="quiet" onClick={() => player.seek(wallUs - 10e6)} />
        <Button icon="stepBack" label="One picture back" shortcut="," iconOnly kind="quiet" onClick={() => player.step(-1)} />
        <Button
          icon={playing ? "pause" : "play"}
          label={playing ? "Pause" : "Play"}
          shortcut="Space"
          iconOnly
          kind="primary"
          onClick={() => togglePlaying(player)}
        />
        <Button icon="stepForward" label="One picture on" shortcut="." iconOnly kind="quiet" onClick={() => player.step(1)} />
        <Button icon="forward10" label="10 seconds on" shortcut="→" iconOnly kind="quiet" onClick={() => player.seek(wallUs + 10e6)} />
      </div>
      <div class="controls-right">
        <label class="rate" title="Speed ([ and ])">
          <span class="sr-only">Speed</span>
          <select
            value={String(player.rate.value)}
            onChange={(event) => player.setRate(Number(event.currentTarget.value))}
          >
            {RATES.map((rate) => (
              <option key={rate} value={String(rate)}>
                {rate === 0.5 ? "½" : rate}×
              </option>
            ))}
          </select>
        </label>
        {audio && (
          <Button
            icon={muted ? "muted" : "sound"}
            label={muted ? "Sound on" : "Sound off"}
            shortcut="m"
            iconOnly
            kind="quiet"
            onClick={() => player.setMuted(!muted)}
          />
        )}
        <Button icon="camera" label="Save the picture" shortcut="s" iconOnly kind="quiet" onClick={save} />
        <Button icon="fullScreen" label="Full screen" shortcut="f" iconOnly kind="quiet" onClick={fullScreen} />
      </div>
    </div>
  );
}
