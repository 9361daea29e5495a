/** Segments opened for playing, in the worker: heads are kept, chunks are read by range and opened. */
import * as box from "../api/box";
import { type Result, aborted, failure, success } from "../api/result";
import { sentence } from "../api/sentence";
import type { ChunkEntry } from "../api/types";
import { CHUNK_FRAGMENT, type Core, CoreError, type OpenedChunk, type OpenedSegment } from "./core";
import type { ChunksOpened, SegmentOpened } from "./protocol";

/** Enough for header, envelope and init segment of every camera seen, so that a seek waits for one answer and not two. */
const HEAD_GUESS_BYTES = 8 * 1024;
const OPEN_MAX = 32;
const OUT_OF_ORDER = "The box sent footage out of order.";

export class Segments {
  /** By segment id, the least recently used first. */
  readonly #opened = new Map<string, OpenedSegment>();

  constructor(private readonly core: Core) {}

  async open(stream: string, segment: string, signal: AbortSignal): Promise<Result<SegmentOpened>> {
    const index = box.segmentIndex(stream, segment, signal);
    const head = await this.#head(stream, segment, index, signal);
    const known = await index;
    if (head.kind !== "success") return head;
    if (known.kind !== "success") return known;
    const { run, anchorUs, startUs, codecs, width, height, init } = head.value;
    const { chunks, open } = known.value;
    return success({
      stream, segment, run, anchorUs, startUs, codecs, width, height, open,
      init: init.slice().buffer,
      chunks: playable(chunks),
    });
  }

  async refreshIndex(stream: string, segment: string, signal: AbortSignal) {
    const index = await box.segmentIndex(stream, segment, signal);
    if (index.kind !== "success") return index;
    return success({ chunks: playable(index.value.chunks), open: index.value.open });
  }

  /** Chunks that follow one another in the file, by one request. */
  async read(
    stream: string,
    segment: string,
    chunks: readonly ChunkEntry[],
    signal: AbortSignal,
  ): Promise<Result<ChunksOpened>> {
    const [first, last] = [chunks[0], chunks.at(-1)];
    if (!first || !last) return success({ fragments: [], damaged: [] });
    const head = await this.#head(stream, segment, null, signal);
    if (head.kind !== "success") return head;
    const bytes = await box.segmentBytes(stream, segment, first.offset, last.offset + last.bytes, signal);
    if (bytes.kind !== "success") return bytes;
    const read: ChunksOpened = { fragments: [], damaged: [] };
    for (const chunk of chunks) {
      if (signal.aborted) return aborted;
      const at = chunk.offset - first.offset;
      // The head may have been closed for a newer one while the bytes were on their way.
      const { handle } = this.#opened.get(segment) ?? head.value;
      const opened = this.#chunk(handle, bytes.value.subarray(at, at + chunk.bytes));
      if (!opened) {
        read.damaged.push(chunk.k);
        continue;
      }
      // The index is the box's word; what was sealed is not.
      if (opened.k !== chunk.k) return failure("vault", OUT_OF_ORDER);
      if (opened.type !== CHUNK_FRAGMENT) continue;
      const { k, startUs, durationUs, key, body, times } = opened;
      read.fragments.push({ k, startUs, durationUs, key, body: body.buffer, times });
    }
    return success(read);
  }

  /** Null where it was changed or damaged: that costs this chunk, and not those around it. */
  #chunk(handle: number, sealed: Uint8Array): OpenedChunk | null {
    try {
      return this.core.openChunk(handle, sealed);
    } catch (error) {
      if (error instanceof CoreError) return null;
      throw error;
    }
  }

  clear(): void {
    for (const { handle } of this.#opened.values()) this.core.closeSegment(handle);
    this.#opened.clear();
  }

  async #head(
    stream: string,
    segment: string,
    index: ReturnType<typeof box.segmentIndex> | null,
    signal: AbortSignal,
  ): Promise<Result<OpenedSegment>> {
    const known = this.#opened.get(segment);
    if (known) {
      this.#opened.delete(segment);
      this.#opened.set(segment, known);
      return success(known);
    }
    let bytes = await box.segmentBytes(stream, segment, 0, HEAD_GUESS_BYTES, signal);
    if (bytes.kind !== "success") return bytes;
    const described = await (index ?? box.segmentIndex(stream, segment, signal));
    if (described.kind !== "success") return described;
    const headBytes = described.value.head_bytes;
    if (headBytes > bytes.value.length) {
      bytes = await box.segmentBytes(stream, segment, 0, headBytes, signal);
      if (bytes.kind !== "success") return bytes;
    }
    let opened: OpenedSegment;
    try {
      opened = this.core.openSegment(bytes.value.subarray(0, headBytes), stream, segment);
    } catch (error) {
      if (error instanceof CoreError) return failure("damaged", sentence(error.message));
      throw error;
    }
    this.#opened.set(segment, opened);
    for (const [id, { handle }] of this.#opened) {
      if (this.#opened.size <= OPEN_MAX) break;
      this.core.closeSegment(handle);
      this.#opened.delete(id);
    }
    return success(opened);
  }
}

/** Chunk 0 is the head, and a footer has no length in time. */
const playable = (chunks: readonly ChunkEntry[]) => chunks.filter((chunk) => chunk.k > 0 && chunk.duration_us > 0);
