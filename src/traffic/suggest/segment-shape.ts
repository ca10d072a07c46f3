/** The shape of a segment of a path: constant text, or text with parts that look like an id. */

export interface SegmentShape {
  /** A regular expression (RE2) for the whole segment; of constant text it matches that text alone. */
  readonly pattern: string;
  /** For people: `{int}`, `order-{int}`. */
  readonly label: string;
  /** Up to this many values are kept apart as constants; from the next one on, the pattern stands for all. */
  readonly maxConstants: number;
}

/** `/v1`, `/v2`, `/2024` are more often names than ids. */
const FEW = 3;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const ULID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const HEX = /^[0-9a-f]{8,128}$/i;
const TOKEN = /^(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[\w-]{20,256}$/;
/** A percent escape is kept as it is; its digits are no number. */
const DIGITS = /%[0-9a-f]{2}|[0-9]+/gi;

export function shapeOf(segment: string): SegmentShape {
  if (!/[0-9]/.test(segment)) return constant(segment);
  if (/^[0-9]+$/.test(segment)) return { pattern: '[0-9]+', label: '{int}', maxConstants: FEW };
  if (UUID.test(segment))
    return {
      pattern: '[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}',
      label: '{uuid}',
      maxConstants: 0,
    };
  if (/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(segment))
    return { pattern: '[0-9]{4}-[0-9]{2}-[0-9]{2}', label: '{date}', maxConstants: FEW };
  if (ULID.test(segment)) return { pattern: '[0-7][0-9A-HJKMNP-TV-Z]{25}', label: '{ulid}', maxConstants: 0 };
  if (HEX.test(segment))
    return segment.length < 16
      ? { pattern: '[0-9a-fA-F]{8,15}', label: '{hex}', maxConstants: FEW }
      : { pattern: `[0-9a-fA-F]{${segment.length}}`, label: `{hex:${segment.length}}`, maxConstants: 0 };
  if (TOKEN.test(segment)) {
    const most = powerOfTwo(segment.length);
    return { pattern: `[0-9A-Za-z_-]{20,${most}}`, label: `{token:${most}}`, maxConstants: 0 };
  }
  return withNumbers(segment);
}

const constant = (segment: string): SegmentShape => ({
  pattern: quoted(segment),
  label: segment,
  maxConstants: 1,
});

/** `order-17.json` is `order-[0-9]+[.]json`. */
function withNumbers(segment: string): SegmentShape {
  let pattern = '';
  let label = '';
  let end = 0;
  for (const { 0: digits, index } of segment.matchAll(DIGITS)) {
    if (digits.startsWith('%')) continue;
    const before = segment.slice(end, index);
    pattern += `${quoted(before)}[0-9]+`;
    label += `${before}{int}`;
    end = index + digits.length;
  }
  const rest = segment.slice(end);
  return end === 0 ? constant(segment) : { pattern: pattern + quoted(rest), label: label + rest, maxConstants: FEW };
}

/** Text as a part of a regular expression; brackets instead of backslashes where they do, since CEL and YAML escape those again. */
export const quoted = (text: string): string =>
  text.replaceAll(/[.*+?()[\]{}|$]/g, '[$&]').replaceAll(/[\\^]/g, '\\$&');

/** At least 8; the bound of a length is wider than what was observed, by at most a factor of two above that. */
const powerOfTwo = (length: number): number => 2 ** Math.max(3, Math.ceil(Math.log2(length)));

/** The characters and lengths of segments, for a pattern that is no wider than these. */
export class Alphabet {
  #lower = false;
  #upper = false;
  #digit = false;
  /** Other characters of URLs; anything else sets `#isOpen`. */
  readonly #others = new Set<string>();
  #isOpen = false;
  #longest = 0;
  #hasEmpty = false;

  add(segment: string): void {
    if (segment === '') this.#hasEmpty = true;
    if (segment.length > this.#longest) this.#longest = segment.length;
    for (const character of segment) {
      if (character >= 'a' && character <= 'z') this.#lower = true;
      else if (character >= '0' && character <= '9') this.#digit = true;
      else if (character >= 'A' && character <= 'Z') this.#upper = true;
      else if (/[!$%&'()*+,\-.:;=@_~]/.test(character)) this.#others.add(character);
      else this.#isOpen = true;
    }
  }

  join(other: Alphabet): void {
    this.#lower ||= other.#lower;
    this.#upper ||= other.#upper;
    this.#digit ||= other.#digit;
    this.#isOpen ||= other.#isOpen;
    this.#hasEmpty ||= other.#hasEmpty;
    this.#longest = Math.max(this.#longest, other.#longest);
    for (const character of other.#others) this.#others.add(character);
  }

  get pattern(): string {
    const range = [
      this.#digit ? '0-9' : '',
      this.#upper ? 'A-Z' : '',
      this.#lower ? 'a-z' : '',
      ...[...this.#others].filter((character) => character !== '-').toSorted(),
      this.#others.has('-') ? '-' : '',
    ].join('');
    const most = powerOfTwo(this.#longest);
    const least = this.#hasEmpty ? 0 : 1;
    const set = this.#isOpen ? '[^/]' : `[${range}]`;
    // RE2 repeats at most 1000 times.
    return most > 512 ? `${set}${least === 0 ? '*' : '+'}` : `${set}{${least},${most}}`;
  }
}
