/**
 * The number burned into the test clips' pictures: 16 blocks over the whole width of the topmost fifteenth, bit 15 on the
 * left, white is 1 (tests/cameras/make_clips.py).
 */

/** Reads the number from the picture that a video element shows now, and when it was shown. */
export function readCounter(page, selector) {
  return page.evaluate(async (wanted) => {
    const video = document.querySelector(wanted);
    if (!video || video.videoWidth === 0) return null;
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(video, 0, 0);
    const atMs = Date.now();
    const y = Math.floor(canvas.height / 30);
    let value = 0;
    for (let bit = 0; bit < 16; bit += 1) {
      const x = Math.floor(((bit + 0.5) * canvas.width) / 16);
      const [red, green, blue] = context.getImageData(x, y, 1, 1).data;
      value = value * 2 + (red + green + blue > 384 ? 1 : 0);
    }
    return { value, atMs, currentTime: video.currentTime };
  }, selector);
}

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
};

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
