/**
 * A metrics page of a plugin, which may have any length and say anything.
 * **In**: its pieces. **Out**: whole lines within bounds, without secrets. **Fails**: as the pieces fail.
 */
import { HIDDEN, isSecretName } from '../attributes/secrets.ts';
import type { SecretTexts } from '../text/secret-texts.ts';

export interface PageBounds {
  /** Lines with a value. */
  readonly series: number;
  readonly octets: number;
}

/** Of all pages of one handler. A scrape of more takes Prometheus' own timeout of 10 s. */
export const PAGE_BOUNDS: PageBounds = { series: 500_000, octets: 64 * 1024 * 1024 };
/** Prometheus takes no longer label, and a line has a few. */
const MAX_LINE = 256 * 1024;

/** Of a label whose name says that it has a credential. */
const MAY_BE_SECRET = /(?:authorization|cookie|api_?key|token|secret|password|jwt|assertion)="/i;
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\\n]|\\.)*)"/g;
const ALWAYS_SECRET = /(?:authorization|cookie|password)$/i;
/** A shorter value of such a label is a word: `token="expired"`. */
const SHORTEST_SECRET = 16;

/** The room that a handler's page has left, and the series that found none. */
export class PageRoom {
  droppedSeries = 0;
  #series: number;
  #octets: number;

  constructor({ series, octets }: PageBounds) {
    this.#series = series;
    this.#octets = octets;
  }

  /** The lines of a text that ends with one, as far as there is room. */
  within(lines: string): string {
    const octets = Buffer.byteLength(lines);
    const series = seriesIn(lines);
    if (octets <= this.#octets && octets <= MAX_LINE && series <= this.#series) {
      this.#octets -= octets;
      this.#series -= series;
      return lines;
    }
    return lines
      .split('\n')
      .slice(0, -1)
      .map((line) => (this.#admits(line) ? `${line}\n` : ''))
      .join('');
  }

  /** A line that is too long to be kept until it ends. */
  drop(): void {
    this.droppedSeries++;
  }

  #admits(line: string): boolean {
    const isSeries = line !== '' && !line.startsWith('#');
    const octets = Buffer.byteLength(line) + 1;
    if (octets <= this.#octets && (!isSeries || this.#series > 0) && octets <= MAX_LINE) {
      this.#octets -= octets;
      if (isSeries) this.#series--;
      return true;
    }
    if (isSeries) this.droppedSeries++;
    return false;
  }
}

/** `pieces` end with a line. */
export async function* boundedLines(
  pieces: AsyncIterable<string>,
  room: PageRoom,
  secrets: SecretTexts,
): AsyncGenerator<string> {
  let begun = '';
  let isDropped = false;
  for await (const piece of pieces) {
    const end = piece.lastIndexOf('\n') + 1;
    if (end > 0) {
      let lines = begun + piece.slice(0, end);
      if (isDropped) lines = lines.slice(lines.indexOf('\n') + 1);
      isDropped = false;
      const shown = room.within(shownLines(lines, secrets));
      if (shown !== '') yield shown;
      begun = piece.slice(end);
    } else begun += piece;
    if (begun.length <= MAX_LINE) continue;
    if (!isDropped) room.drop();
    isDropped = true;
    begun = '';
  }
}

function shownLines(lines: string, secrets: SecretTexts): string {
  const shown = secrets.text(lines);
  if (!MAY_BE_SECRET.test(shown)) return shown;
  return shown.replaceAll(LABEL, (label, name: string, value: string) => {
    const isSecret = ALWAYS_SECRET.test(name) || (isSecretName(name.toLowerCase()) && value.length >= SHORTEST_SECRET);
    return isSecret ? `${name}="${HIDDEN}"` : label;
  });
}

const HASH = 0x23;
const NEWLINE = 0x0a;

function seriesIn(lines: string): number {
  let count = 0;
  for (let at = 0, end = lines.indexOf('\n'); end >= 0; at = end + 1, end = lines.indexOf('\n', at)) {
    const first = lines.charCodeAt(at);
    if (first !== HASH && first !== NEWLINE) count++;
  }
  return count;
}
