/** Lines on stdout and stderr. */

type Stream = NodeJS.WritableStream;

/** Prints a line of output on stdout. */
export function printOut(text = ''): void {
  print(process.stdout, `${text}\n`);
}

/** Prints a line of diagnostics on stderr. */
export function printErr(text = ''): void {
  print(process.stderr, `${text}\n`);
}

const guarded = new WeakSet<Stream>();

/** Ignores EPIPE (`sluice plugins | head`), so that the exit code stays that of the command. */
export function print(stream: Stream, text: string): void {
  if (!guarded.has(stream)) {
    guarded.add(stream);
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
  stream.write(text);
}

/** Pads columns to their widest cell, except the last. `paint` colours the padded cells, so widths are right. */
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
