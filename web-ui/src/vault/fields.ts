/** What crosses to and from WASM: fields one after another, each four bytes of length (little-endian) and its bytes. */

export type Field = Uint8Array | string | number;

export function encodeFields(fields: readonly Field[]): Uint8Array {
  const parts = fields.map((field) => {
    if (typeof field === "string") return new TextEncoder().encode(field);
    if (typeof field === "number") return new Uint8Array(Float64Array.of(field).buffer);
    return field;
  });
  const encoded = new Uint8Array(parts.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(encoded.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length, true);
    encoded.set(part, at + 4);
    at += 4 + part.length;
  }
  return encoded;
}

/** Reads an answer's fields in order. What it hands out are copies: WASM's memory moves when it grows. */
export class FieldReader {
  #at = 0;
  constructor(private readonly encoded: Uint8Array) {}

  bytes(): Uint8Array<ArrayBuffer> {
    const view = new DataView(this.encoded.buffer, this.encoded.byteOffset, this.encoded.byteLength);
    const length = view.getUint32(this.#at, true);
    const start = this.#at + 4;
    if (start + length > this.encoded.length) throw new RangeError("an answer from WASM is cut short");
    this.#at = start + length;
    return this.encoded.slice(start, this.#at);
  }

  text(): string {
    return new TextDecoder().decode(this.bytes());
  }

  number(): number {
    return new DataView(this.bytes().buffer).getFloat64(0, true);
  }

  numbers(): Float64Array<ArrayBuffer> {
    return new Float64Array(this.bytes().buffer);
  }
}
