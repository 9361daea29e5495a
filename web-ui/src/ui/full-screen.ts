/** An iPhone shows only a video in full screen, by a call of its own. */
type PhoneVideo = HTMLVideoElement & { webkitEnterFullscreen?: () => void };

export function toggleFullScreen(element: HTMLElement | null): void {
  if (document.fullscreenElement) void document.exitFullscreen();
  else if (element?.requestFullscreen) void element.requestFullscreen().catch(() => undefined);
  else element?.querySelector<PhoneVideo>("video")?.webkitEnterFullscreen?.();
}
