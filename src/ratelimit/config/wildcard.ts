/**
 * A pattern over `key_value`; `*` matches any text, also none. Each part is matched at its earliest place without backtracking, so
 * matching takes linear time.
 */
export function patternOf(text: string): Pattern {
  const parts = text.split('*');
  const first = parts[0] ?? '';
  const last = parts.at(-1) ?? '';
  const middle = parts.slice(1, -1).filter((part) => part !== '');
  const least = first.length + last.length;
  return {
    test(value: string): boolean {
      if (value.length < least || !value.startsWith(first) || !value.endsWith(last)) return false;
      let at = first.length;
      const end = value.length - last.length;
      for (const part of middle) {
        const found = value.indexOf(part, at);
        if (found < 0 || found + part.length > end) return false;
        at = found + part.length;
      }
      return true;
    },
  };
}

export interface Pattern {
  test(value: string): boolean;
}
