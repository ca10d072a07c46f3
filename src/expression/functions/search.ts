/**
 * Substring search in linear time. JavaScript's own takes up to the product of both lengths, and a client may choose both:
 * 60 000 and 30 000 characters take most of a second.
 */

/** Up to this length JavaScript's own search is many times faster, and the product is small. */
export const MAX_SEARCHED_NATIVELY = 64;

export const contains = (text: string, part: string): boolean => indexOf(text, part, 0) >= 0;

/** In UTF-16 units; -1 if there is no occurrence at or after `from`. */
export function indexOf(text: string, part: string, from: number): number {
  if (part.length <= MAX_SEARCHED_NATIVELY || from + part.length >= text.length) return text.indexOf(part, from);
  const [at = -1] = occurrencesOf(text, part, 1, from);
  return at;
}

export function lastIndexOf(text: string, part: string): number {
  if (part.length <= MAX_SEARCHED_NATIVELY) return text.lastIndexOf(part);
  return matchesOf(text, part, Number.POSITIVE_INFINITY, 0, 1).at(-1) ?? -1;
}

/** The first `most` occurrences from left to right, without overlap. `part` is not empty. */
export function occurrencesOf(text: string, part: string, most = Number.POSITIVE_INFINITY, from = 0): number[] {
  if (part.length > MAX_SEARCHED_NATIVELY) return matchesOf(text, part, most, from, part.length);
  const occurrences: number[] = [];
  for (
    let at = text.indexOf(part, from);
    at >= 0 && occurrences.length < most;
    at = text.indexOf(part, at + part.length)
  )
    occurrences.push(at);
  return occurrences;
}

/** Knuth, Morris and Pratt. `apart`: the least distance between two occurrences. */
function matchesOf(text: string, part: string, most: number, from: number, apart: number): number[] {
  const occurrences: number[] = [];
  const borders = bordersOf(part);
  let earliest = from;
  for (let at = from, matched = 0; at < text.length && occurrences.length < most; at += 1) {
    const unit = text.charCodeAt(at);
    while (matched > 0 && part.charCodeAt(matched) !== unit) matched = borders[matched - 1] ?? 0;
    if (part.charCodeAt(matched) === unit) matched += 1;
    if (matched < part.length) continue;
    const place = at - part.length + 1;
    if (place >= earliest) {
      occurrences.push(place);
      earliest = place + apart;
    }
    matched = borders[matched - 1] ?? 0;
  }
  return occurrences;
}

/** The failure function: for each prefix of the part, the length of its longest proper prefix that is also its suffix. */
function bordersOf(part: string): Int32Array {
  const borders = new Int32Array(part.length);
  for (let at = 1, length = 0; at < part.length; at += 1) {
    while (length > 0 && part.charCodeAt(at) !== part.charCodeAt(length)) length = borders[length - 1] ?? 0;
    if (part.charCodeAt(at) === part.charCodeAt(length)) length += 1;
    borders[at] = length;
  }
  return borders;
}
