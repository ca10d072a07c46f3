/**
 * Where a text is found in another, in linear time. JavaScript's own search takes up to the product of both lengths, and
 * a client may choose both: 60 000 and 30 000 characters took it most of a second.
 */

/** Up to so many characters the product stays small, and JavaScript's own search is many times faster. */
export const MOST_SEARCHED_NATIVELY = 64;

export const contains = (text: string, part: string): boolean => indexOf(text, part, 0) >= 0;

/** In UTF-16 units; -1 where it is not found at or after `from`. */
export function indexOf(text: string, part: string, from: number): number {
  if (part.length <= MOST_SEARCHED_NATIVELY || from + part.length >= text.length) return text.indexOf(part, from);
  const [at = -1] = placesOf(text, part, 1, from);
  return at;
}

export function lastIndexOf(text: string, part: string): number {
  if (part.length <= MOST_SEARCHED_NATIVELY) return text.lastIndexOf(part);
  return found(text, part, Number.POSITIVE_INFINITY, 0, 1).at(-1) ?? -1;
}

/** Where it is found from left to right without overlap, at most so often. `part` is not empty. */
export function placesOf(text: string, part: string, most = Number.POSITIVE_INFINITY, from = 0): number[] {
  if (part.length > MOST_SEARCHED_NATIVELY) return found(text, part, most, from, part.length);
  const places: number[] = [];
  for (let at = text.indexOf(part, from); at >= 0 && places.length < most; at = text.indexOf(part, at + part.length))
    places.push(at);
  return places;
}

/** Knuth, Morris and Pratt. `apart`: how far two places are at least from each other. */
function found(text: string, part: string, most: number, from: number, apart: number): number[] {
  const places: number[] = [];
  const borders = bordersOf(part);
  let earliest = from;
  for (let at = from, matched = 0; at < text.length && places.length < most; at += 1) {
    const unit = text.charCodeAt(at);
    while (matched > 0 && part.charCodeAt(matched) !== unit) matched = borders[matched - 1] ?? 0;
    if (part.charCodeAt(matched) === unit) matched += 1;
    if (matched < part.length) continue;
    const place = at - part.length + 1;
    if (place >= earliest) {
      places.push(place);
      earliest = place + apart;
    }
    matched = borders[matched - 1] ?? 0;
  }
  return places;
}

/** For each beginning of the part, how long the longest shorter beginning is that it ends with. */
function bordersOf(part: string): Int32Array {
  const borders = new Int32Array(part.length);
  for (let at = 1, length = 0; at < part.length; at += 1) {
    while (length > 0 && part.charCodeAt(at) !== part.charCodeAt(length)) length = borders[length - 1] ?? 0;
    if (part.charCodeAt(at) === part.charCodeAt(length)) length += 1;
    borders[at] = length;
  }
  return borders;
}
