/** One stream watched live, in the worker: sealed chunks come by WebSocket, opened ones go to the page. */
import * as box from "../api/box";
import { CHUNK_FRAGMENT, type Core, CoreError, type OpenedSegment } from "./core";
import type { LiveEvent } from "./protocol";

const HEAD = 1;
const CHUNK = 2;
const ID_BYTES = 16;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;
/** A socket that is open but silent for so long is looked into. */
const SILENT_MAX_MS = 20_000;

const LOST = "The connection to the box was lost.";
const SILENT = "The box sends nothing.";
/** What the box says when it closes a socket, by WebSocket's close codes. */
const CLOSED: Readonly<Record<number, string>> = {
  1001: "The box ended this live view; it may be restarting.",
  1008: "You are not signed in any more.",
  1013: "This device or its network is too slow for this live view.",
};

export class LiveWatch {
  #socket: WebSocket | null = null;
  #segment: { id: string; opened: OpenedSegment } | null = null;
  #retryMs = RETRY_FIRST_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(
    private readonly core: Core,
    private readonly stream: string,
    private readonly tell: (event: LiveEvent) => void,
    /** Told what is no fault of the bytes, but of what opens them. */
    private readonly failed: (error: unknown) => void,
  ) {
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    this.#socket?.close();
    this.#dropSegment();
  }

  #connect(): void {
    const socket = new WebSocket(box.liveUrl(this.stream));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      this.#listenForSilence();
      if (typeof data === "string") return;
      try {
        this.#receive(new Uint8Array(data));
        this.#retryMs = RETRY_FIRST_MS;
      } catch (error) {
        if (!(error instanceof CoreError)) return this.failed(error);
        this.#lose(`What the box sent cannot be opened: ${error.message}.`);
      }
    };
    socket.onclose = (event) => this.#lose(CLOSED[event.code] ?? LOST);
    this.#socket = socket;
    this.#listenForSilence();
  }

  #listenForSilence(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => void this.#lookIntoSilence(), SILENT_MAX_MS);
  }

  /** A camera that is off sends nothing, and its socket stays. A box that is gone, or has more than it sends, does not. */
  async #lookIntoSilence(): Promise<void> {
    const socket = this.#socket;
    const streams = await box.streams();
    if (this.#closed || this.#socket !== socket) return;
    const state = streams.kind === "success" ? streams.value.find(({ id }) => id === this.stream)?.state : undefined;
    if (streams.kind === "success" && state !== "recording") this.#listenForSilence();
    else this.#lose(streams.kind === "success" ? SILENT : LOST);
  }

  #receive(message: Uint8Array): void {
    const id = hex(message.subarray(1, 1 + ID_BYTES));
    const body = message.subarray(1 + ID_BYTES);
    if (message[0] === HEAD) {
      this.#dropSegment();
      const opened = this.core.openSegment(body, this.stream, id);
      this.#segment = { id, opened };
      const { run, anchorUs, startUs, codecs, width, height, init } = opened;
      this.tell({
        kind: "head",
        head: { stream: this.stream, segment: id, run, anchorUs, startUs, codecs, width, height, init: init.buffer },
      });
    } else if (message[0] === CHUNK && this.#segment?.id === id) {
      const { type, k, startUs, durationUs, key, body: opened, times } = this.core.openChunk(
        this.#segment.opened.handle,
        body,
      );
      if (type !== CHUNK_FRAGMENT) return;
      this.tell({ kind: "fragment", fragment: { k, startUs, durationUs, key, body: opened.buffer, times } });
    }
  }

  #lose(message: string): void {
    if (this.#closed) return;
    clearTimeout(this.#silence);
    if (this.#socket) {
      this.#socket.onclose = this.#socket.onmessage = null;
      this.#socket.close();
      this.#socket = null;
    }
    this.#dropSegment();
    const retryInMs = this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
    this.tell({ kind: "lost", message, retryInMs });
    this.#timer = setTimeout(() => this.#connect(), retryInMs);
  }

  #dropSegment(): void {
    if (this.#segment) this.core.closeSegment(this.#segment.opened.handle);
    this.#segment = null;
  }
}

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
