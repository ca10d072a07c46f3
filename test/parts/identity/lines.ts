/** A log whose lines a test reads. */
import type { Log, LogFields } from '../../../src/adapters/contract.ts';

export interface Lines extends Log {
  readonly all: readonly string[];
  readonly text: string;
  /** The lines that contain this. */
  of(part: string): readonly string[];
}

export function lines(): Lines {
  const all: string[] = [];
  const line =
    (level: string) =>
    (message: string, fields: LogFields = {}): void =>
      void all.push(`${level} ${message} ${JSON.stringify(fields)}`);
  return {
    all,
    get text() {
      return all.join('\n');
    },
    of: (part) => all.filter((one) => one.includes(part)),
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
  };
}
