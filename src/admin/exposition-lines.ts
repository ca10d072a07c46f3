/** Lines of Prometheus' text format and of OpenMetrics. */
import { setImmediate as nextTurn } from 'node:timers/promises';

export interface Sample {
  /** Name and labels as written. */
  readonly series: string;
  readonly value: string;
  /** Milliseconds in the text format. */
  readonly timestamp: string | undefined;
  /** After `# `, as in OpenMetrics. */
  readonly exemplar: string | undefined;
}

/** Quoted labels may hold any character. */
const SAMPLE =
  /^([A-Za-z_:][\w:]*(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?)[ \t]+(\S+)(?:[ \t]+(-?[\d.]+))?(?:[ \t]+# (.*))?[ \t]*$/;

export function sampleOf(line: string): Sample | undefined {
  // Most lines are `name{labels} value`; the pattern takes ten times as long.
  const space = line.lastIndexOf(' ');
  const isPlain = space > 0 && !line.includes(' # ') && (line[space - 1] === '}' || line.indexOf(' ') === space);
  if (isPlain)
    return { series: line.slice(0, space), value: line.slice(space + 1), timestamp: undefined, exemplar: undefined };
  const [, series, value, timestamp, exemplar] = SAMPLE.exec(line) ?? [];
  return series === undefined || value === undefined ? undefined : { series, value, timestamp, exemplar };
}

const HEADER = /^# (HELP|TYPE|UNIT|MERGE) (\S+) ?(.*)/;

export interface Header {
  readonly word: 'HELP' | 'TYPE' | 'UNIT' | 'MERGE';
  readonly family: string;
  readonly rest: string;
}
/** `undefined` for other comments and for samples. */
export function headerOf(line: string): Header | undefined {
  const [, word, family = '', rest = ''] = HEADER.exec(line) ?? [];
  return word === undefined ? undefined : { word: word as Header['word'], family, rest };
}

/** Characters that are converted or merged in one turn of the event loop. */
const PIECE_LENGTH = 128 * 1024;

/** The same text in pieces of whole lines; each piece but the first comes in a turn of the event loop of its own. */
export async function* linePieces(pieces: AsyncIterable<string> | Iterable<string>): AsyncGenerator<string> {
  let begun = '';
  for await (const piece of pieces) {
    let text = begun + piece;
    begun = '';
    while (text !== '') {
      const end = text.length <= PIECE_LENGTH ? text.lastIndexOf('\n') + 1 : endOfLine(text, PIECE_LENGTH);
      if (end === 0) {
        begun = text;
        break;
      }
      yield text.slice(0, end);
      await nextTurn();
      text = text.slice(end);
    }
  }
  if (begun !== '') yield `${begun}\n`;
}

/** After the first line break from `from` on, or before it; 0 if there is none. */
const endOfLine = (text: string, from: number): number =>
  text.lastIndexOf('\n', from) + 1 || text.indexOf('\n', from) + 1;
