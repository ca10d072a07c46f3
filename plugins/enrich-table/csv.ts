/** CSV as in RFC 4180, parsed in slices so that the event loop is not held. */
import type { CsvError, Info } from 'csv-parse';
import type { Turn } from 'sluice/plugin';

export interface CsvRow {
  /** First line of the row, from 1. */
  readonly line: number;
  readonly fields: readonly string[];
}

const SLICE_CHARACTERS = 16 * 1024;

/** The rows, without empty lines. Throws with the line of a wrong quote. */
export async function parseCsv(text: string, turn: Turn): Promise<CsvRow[]> {
  const { parse } = await import('csv-parse'); // loaded only by policies with a CSV table
  const parser = parse({
    bom: true,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    record_delimiter: ['\r\n', '\n', '\r'],
  });
  const rows: CsvRow[] = [];
  parser.on('readable', () => {
    for (let read = next(); read !== null; read = next()) {
      const {
        info: { lines },
        record,
      } = read;
      rows.push({ line: lines - record.join('').split('\n').length + 1, fields: record });
    }
  });
  const next = (): { readonly info: Info; readonly record: readonly string[] } | null =>
    parser.read() as { info: Info; record: string[] } | null;
  const ended = new Promise<void>((resolve, reject) => {
    parser.once('end', resolve).once('error', reject);
  });
  ended.catch(() => undefined); // reported below, after the slice
  for (let at = 0; at < text.length && !parser.destroyed; at += SLICE_CHARACTERS) {
    const slice = text.slice(at, at + SLICE_CHARACTERS);
    await new Promise<void>((resolve) => {
      parser.write(slice, () => resolve()); // it parses later in this turn, and calls back for an error, too
    });
    await turn();
  }
  parser.end();
  try {
    await ended;
  } catch (error) {
    throw new Error(problemOf(error as CsvError), { cause: error });
  }
  return rows;
}

function problemOf({ code, message, ...context }: CsvError): string {
  const { lines } = context as unknown as { lines?: number };
  const at = `line ${lines ?? '?'}: `;
  switch (code) {
    case 'CSV_QUOTE_NOT_CLOSED':
      return `${at}a quote is not closed`;
    case 'CSV_INVALID_CLOSING_QUOTE':
      return `${at}expected a comma or the line's end after the closing quote`;
    default:
      return at + message;
  }
}
