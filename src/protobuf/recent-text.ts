const MOST_BYTES = 64;

/**
 * Text that is mostly the same from call to call (a method, a host): where the octets are those of the last call, so is the
 * text, and none is made.
 */
export class RecentText {
  readonly #octets = new Uint8Array(MOST_BYTES);
  #length = -1;
  #text = '';

  of(bytes: Buffer, from: number, to: number): string {
    const length = to - from;
    if (length > MOST_BYTES) return bytes.toString('utf8', from, to);
    const octets = this.#octets;
    let at = 0;
    if (length === this.#length) while (at < length && octets[at] === bytes[from + at]) at++;
    if (at === length && length === this.#length) return this.#text;
    this.#text = bytes.toString('utf8', from, to);
    this.#length = length;
    for (at = 0; at < length; at++) octets[at] = bytes[from + at] as number;
    return this.#text;
  }
}
