/** RFC 4180: fields in quotes may hold commas, line ends and doubled quotes. */

export interface CsvRow {
  /** Where the row begins, from 1. */
  readonly line: number;
  readonly fields: readonly string[];
}

/** Rows without empty lines. Throws with the line where quotes are wrong. */
export function parseCsv(text: string): CsvRow[] {
  const rows: CsvRow[] = [];
  let line = 1;
  let at = 0;
  while (at < text.length) {
    const row: string[] = [];
    const first = line;
    for (;;) {
      const field = text[at] === '"' ? quoted(text, at, line) : plain(text, at);
      row.push(field.value);
      line += field.lines;
      at = field.end;
      if (text[at] !== ',') break;
      at++;
    }
    if (at < text.length && !/[\r\n]/.test(text[at] as string)) throw new Error(`line ${line}: expected a comma or the line's end after the closing quote`);
    if (text[at] === '\r' && text[at + 1] === '\n') at++;
    at++;
    line++;
    if (row.length > 1 || row[0] !== '') rows.push({ line: first, fields: row });
  }
  return rows;
}

interface Field {
  readonly value: string;
  readonly end: number;
  /** Line ends inside. */
  readonly lines: number;
}

function plain(text: string, start: number): Field {
  let end = start;
  while (end < text.length && !isEnd(text.charCodeAt(end))) end++;
  return { value: text.slice(start, end), end, lines: 0 };
}

/** Comma, CR, LF. */
const isEnd = (code: number): boolean => code === 0x2c || code === 0x0d || code === 0x0a;

function quoted(text: string, start: number, line: number): Field {
  let value = '';
  let at = start + 1;
  for (;;) {
    const close = text.indexOf('"', at);
    if (close < 0) throw new Error(`line ${line}: a quote is not closed`);
    value += text.slice(at, close);
    if (text[close + 1] !== '"') return { value, end: close + 1, lines: value.split('\n').length - 1 };
    value += '"';
    at = close + 2;
  }
}
