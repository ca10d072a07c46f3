/** The lines of a text, numbered from 1, one at a time: splitting megabytes at once would take a turn of its own. */
export function* textLines(text: string): Generator<readonly [number: number, line: string]> {
  let number = 1;
  for (let start = 0; start <= text.length; number++) {
    const end = text.indexOf('\n', start);
    const line = text.slice(start, end < 0 ? undefined : end);
    yield [number, line.endsWith('\r') ? line.slice(0, -1) : line];
    if (end < 0) return;
    start = end + 1;
  }
}
