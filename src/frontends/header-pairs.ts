/** A header of a response. A repeated name in the same spelling is another value. */
export type HeaderPair = readonly [name: string, value: string];

/** Header names are case-insensitive: if one occurs in two spellings, the later replaces all values of the earlier. */
export function inOneSpelling(pairs: readonly HeaderPair[]): readonly HeaderPair[] {
  if (!hasRepeats(pairs)) return pairs;
  const spellings = new Map<string, string>();
  let kept = pairs;
  for (const [at, [name]] of pairs.entries()) {
    const lower = name.toLowerCase();
    const before = spellings.get(lower);
    spellings.set(lower, name);
    if (before === undefined || before === name) continue;
    const replaced = new Set(pairs.slice(0, at).filter((pair) => pair[0].toLowerCase() === lower));
    kept = kept.filter((pair) => !replaced.has(pair));
  }
  return kept;
}

/** Whether a name occurs twice, in any case. Quadratic, since responses set few headers. */
export function hasRepeats(pairs: readonly HeaderPair[]): boolean {
  for (let at = 1; at < pairs.length; at++) {
    const [name] = pairs[at] as HeaderPair;
    for (let before = 0; before < at; before++) {
      const [other] = pairs[before] as HeaderPair;
      if (other.length === name.length && (other === name || other.toLowerCase() === name.toLowerCase())) return true;
    }
  }
  return false;
}
