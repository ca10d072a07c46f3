/** So many are compared with one written name: a policy may have as many wrong names as known ones. */
const MAX_COMPARED = 400;

/** The known name most similar to a misspelt one; `undefined` if none is near. */
export function nearest(written: string, known: Iterable<string>): string | undefined {
  const wanted = written.toLowerCase();
  let best: string | undefined;
  let bestDistance = limitOf(written);
  for (const name of comparable(written, known)) {
    const distance = name.toLowerCase() === wanted ? 0 : edits(wanted, name.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = name;
    }
  }
  return best;
}

/** More edits make another name. */
const limitOf = (written: string): number => Math.max(1, Math.floor(written.length / 3)) + 1;

/** Names that may be near: those of a near length; of many, those that begin or end alike. */
export function comparable(written: string, known: Iterable<string>): readonly string[] {
  const limit = limitOf(written);
  const found: string[] = [];
  for (const name of known) if (Math.abs(name.length - written.length) < limit) found.push(name);
  if (found.length <= MAX_COMPARED) return found;
  const [start, end] = [written.slice(0, 2), written.slice(-2)];
  const alike: string[] = [];
  for (const name of found) {
    if (name.startsWith(start) || name.endsWith(end)) alike.push(name);
    if (alike.length === MAX_COMPARED) break;
  }
  return alike;
}

/** Known names that a hint lists; an adapter's config has up to 24. */
const MAX_LISTED = 24;

/** `; did you mean X?`; or the known names, of many those that have a word of the written one; or empty. */
export function meant(written: string, known: Iterable<string>): string {
  const names = [...known];
  const name = nearest(written, names);
  if (name !== undefined) return `; did you mean ${name}?`;
  const listed = names.length <= MAX_LISTED ? names : relatedTo(written, names);
  if (listed.length === 0) return '';
  return `; known are ${listed.join(', ')}${listed.length < names.length ? ' ...' : ''}`;
}

function relatedTo(written: string, names: readonly string[]): readonly string[] {
  const words = wordsOf(written);
  const related: string[] = [];
  for (const name of names.slice(0, MAX_COMPARED)) {
    if (related.length === MAX_LISTED) break;
    if (wordsOf(name).some((word) => words.includes(word))) related.push(name);
  }
  return related;
}

/** `max`, `keys` and `bytes` of `maxKeysBytes` and of `max_keys_bytes`. */
const wordsOf = (name: string): string[] =>
  name
    .replaceAll(/(?<=[a-z\d])(?=[A-Z])/g, ' ')
    .toLowerCase()
    .split(/[^a-z\d]+/)
    .filter((word) => word.length > 2);

/** Edit distance with swaps of neighbours; `limit` if it is at least that. */
function edits(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    let least = row;
    for (let column = 1; column <= b.length; column++) {
      const replaced = (above[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      let cost = Math.min(replaced, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        cost = Math.min(cost, (before[column - 2] ?? 0) + 1);
      current.push(cost);
      least = Math.min(least, cost);
    }
    if (least > limit) return limit; // a swap reaches back by two rows, and costs 1
    before = above;
    above = current;
  }
  return Math.min(above[b.length] ?? limit, limit);
}
