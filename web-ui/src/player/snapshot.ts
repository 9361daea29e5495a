/** The picture on the screen, saved as a PNG on this device. It goes nowhere else. */
import { clock, dateOf } from "../timeline/day";

/** False where there is no picture yet. */
export async function saveSnapshot(video: HTMLVideoElement | null, camera: string, us: number): Promise<boolean> {
  if (!video || video.videoWidth === 0) return false;
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d")?.drawImage(video, 0, 0);
  const png = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!png) return false;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(png);
  link.download = snapshotName(camera, us);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return true;
}

/** "front door 2026-11-22 14-03-10.png": names that every file system takes. */
export function snapshotName(camera: string, us: number): string {
  const at = dateOf(us);
  const two = (value: number) => String(value).padStart(2, "0");
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const name = camera.replace(/[\u0000-\u001f\u007f<>:"/\\|?*]/g, "_").replace(/^[. ]+|[. ]+$/g, "").slice(0, 80);
  return `${name || "camera"} ${date} ${clock(us).replaceAll(":", "-")}.png`;
}
