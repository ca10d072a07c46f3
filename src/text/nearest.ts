/** The known name most similar to a misspelt one; `undefined` if none is near. */
export function nearest(written: string, known: Iterable<string>): string | undefined {
  const wanted = written.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const name of known) {
    const distance = name.toLowerCase() === wanted ? 0 : edits(wanted, name.toLowerCase(), bestDistance);
    if (distance < bestDistance) {
      bestDistance = distance;
      best = name;
    }
  }
  return best;
}

/** Known names that a hint lists; an adapter's config has up to 24. */
const MAX_LISTED = 24;

/** `; did you mean X?`; or the known names, of many those that have a word of the written one; or empty. */
export function meant(written: string, known: Iterable<string>): string {
  const names = [...known];
  const name = nearest(written, names);
  if (name !== undefined) return `; did you mean ${name}?`;
  const words = wordsOf(written);
  const related = (other: string): boolean => wordsOf(other).some((word) => words.includes(word));
  const listed = (names.length <= MAX_LISTED ? names : names.filter(related)).slice(0, MAX_LISTED);
  if (listed.length === 0) return '';
  return `; known are ${listed.join(', ')}${listed.length < names.length ? ' ...' : ''}`;
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
    for (let column = 1; column <= b.length; column++) {
      const replaced = (above[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      let cost = Math.min(replaced, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        cost = Math.min(cost, (before[column - 2] ?? 0) + 1);
      current.push(cost);
    }
    before = above;
    above = current;
  }
  return Math.min(above[b.length] ?? limit, limit);
}
