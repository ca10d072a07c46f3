/** Constants that an expression compares with an attribute. */
const TEXT = `"[^"]*"|'[^']*'`;
const QUOTED = new RegExp(TEXT, 'g');

export interface ComparedTexts {
  /** By `==`, `!=` and `in [...]`, in this order. */
  readonly whole: readonly string[];
  /** By `startsWith`, `endsWith` and `contains`. */
  readonly parts: readonly string[];
}

/** `attribute`: a pattern without groups that capture. */
export function comparedTexts(attribute: string): (source: string) => ComparedTexts {
  const read = `(?<![\\w.])(?:${attribute})`;
  const compared = new RegExp(`${read}\\s*[!=]=\\s*(${TEXT})|(${TEXT})\\s*[!=]=\\s*${read}(?!\\w)`, 'g');
  const listed = new RegExp(`${read}\\s+in\\s+\\[((?:${TEXT}|[^\\]"'])*)\\]`, 'g');
  const part = new RegExp(`${read}\\.(?:startsWith|endsWith|contains)\\(\\s*(${TEXT})`, 'g');
  return (source) => ({
    whole: [
      ...[...source.matchAll(compared)].map(([, after, before]) => after ?? before ?? ''),
      ...[...source.matchAll(listed)].flatMap(([, list = '']) => list.match(QUOTED) ?? []),
    ].map(unquoted),
    parts: [...source.matchAll(part)].map(([, text = '']) => unquoted(text)),
  });
}

const unquoted = (text: string): string => text.slice(1, -1);
