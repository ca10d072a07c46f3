/** Lines on stdout and stderr. */

type Stream = NodeJS.WritableStream;

/** A line on stdout: what was asked for. */
export function say(text = ''): void {
  print(process.stdout, `${text}\n`);
}

/** A line on stderr: what is said about it. */
export function tell(text = ''): void {
  print(process.stderr, `${text}\n`);
}

const heard = new WeakSet<Stream>();

/** `sluice plugins | head`: a reader that has seen enough is no fault, and the exit code stays that of the command. */
export function print(stream: Stream, text: string): void {
  if (!heard.has(stream)) {
    heard.add(stream);
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  stream.write(text);
}

/** Columns padded to their widest cell; the last is not padded. Colour is put on afterwards by `paint`, so widths are right. */
export function columns(
  rows: readonly (readonly string[])[],
  paint: readonly ((text: string) => string)[] = [],
): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, at) => {
      widths[at] = Math.max(widths[at] ?? 0, cell.length);
    });
  return rows.map((row) =>
    row
      .map((cell, at) => {
        const padded = at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0);
        return paint[at]?.(padded) ?? padded;
      })
      .join('  ')
      .trimEnd(),
  );
}
