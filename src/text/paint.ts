/** Terminal colours; plain text if the stream is not a terminal, or NO_COLOR is set. */
import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

export interface Paint {
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly name: (text: string) => string;
}

function paintFor(stream: NodeJS.WritableStream): Paint {
  const as =
    (format: Format) =>
    (text: string): string =>
      styleText(format, text, { stream });
  return {
    strong: as('bold'),
    faint: as('dim'),
    good: as('green'),
    bad: as('red'),
    warn: as('yellow'),
    name: as('cyan'),
  };
}

export const paintOut: Paint = paintFor(process.stdout);
export const paintErr: Paint = paintFor(process.stderr);
