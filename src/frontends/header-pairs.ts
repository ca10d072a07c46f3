/** A header of an answer. The same name again, spelt alike, is another value of it. */
export type HeaderPair = readonly [name: string, value: string];

/** Names have no case: where one stands in two spellings, the later one replaces all values of the earlier. */
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

/** Whether a name is there twice, in any case. Answers set few headers, of unlike lengths. */
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
