/**
 * A fast path for the YAML of most rules, several times as fast as the library: maps of plain keys, with words, whole numbers,
 * quoted one-line texts and one-line flow collections as values, all in printable ASCII.
 * **In**: a part of a text with whole items of a block list. **Out**: their nodes, equal to the library's.
 * **Fails**: with `undefined` for anything else; the library then reads it and reports errors.
 */
import type { MapEntry, MapNode, Node, Place, ScalarNode } from './nodes.ts';
import type { SourceText } from './source-text.ts';

export function plainItems(source: SourceText, start: number, end: number): readonly Node[] | undefined {
  const lines = linesOf(source.text, start, end);
  return lines === undefined ? undefined : new PlainReader(source, lines).items();
}

interface Line {
  /** Where its key or value begins, behind the `- ` of an item. */
  readonly column: number;
  readonly isItem: boolean;
  /** Absent for a flow map. */
  readonly key: string | undefined;
  readonly keyStart: number;
  /** `valueStart` is `valueEnd` where nothing is behind the key. */
  readonly valueStart: number;
  readonly valueEnd: number;
}

const BLANK = / *\n/y;
/** Keys are far shorter than the length that YAML refuses. */
const ENTRY = /( *)(- )?([A-Za-z_][A-Za-z0-9_-]{0,99}):(?:( +)([!-~](?:[ -~]*[!-~])?))? *(?:\n|$)/y;
const FLOW_ITEM = /( *)- (\{[ -~]*\}) *(?:\n|$)/y;

function linesOf(text: string, start: number, end: number): Line[] | undefined {
  const lines: Line[] = [];
  const match = (pattern: RegExp, at: number): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  for (let at = start; at < end;) {
    const entry = match(ENTRY, at);
    const found = entry ?? match(FLOW_ITEM, at);
    if (found === null) {
      const blank = match(BLANK, at);
      if (blank === null) return undefined;
      at += blank[0].length;
      continue;
    }
    const indent = found[1]?.length ?? 0;
    if (entry === null)
      lines.push({
        column: indent + 2,
        isItem: true,
        key: undefined,
        keyStart: at + indent + 2,
        valueStart: at + indent + 2,
        valueEnd: at + indent + 2 + (found[2]?.length ?? 0),
      });
    else {
      const [, , dash, key = '', space, value] = entry;
      const column = indent + (dash === undefined ? 0 : 2);
      const valueStart = at + column + key.length + 1 + (space?.length ?? 0);
      lines.push({
        column,
        isItem: dash !== undefined,
        key,
        keyStart: at + column,
        valueStart,
        valueEnd: valueStart + (value?.length ?? 0),
      });
    }
    at += found[0].length;
  }
  return lines;
}

/** Words that YAML does not read as text. */
const WORDS_OF_YAML: ReadonlySet<string> = new Set([
  'null',
  'Null',
  'NULL',
  'true',
  'True',
  'TRUE',
  'false',
  'False',
  'FALSE',
]);

const SINGLE = /'(?:[ -&(-~]|'')*'/y;
const DOUBLE = /"[ !#-[\]-~]*"/y;
const NUMBER = /(?:0|[1-9][0-9]{0,14})(?=[ ,\]}\n]|$)/y;
/** Without a colon or `#` it neither becomes a map nor has a comment. */
const BLOCK_WORDS = /[A-Za-z_](?:[ -"$-9;-~]*[!"$-9;-~])?/y;
const FLOW_WORD = /[A-Za-z_][A-Za-z0-9_./-]*(?=[ ,\]}])/y;
const FLOW_KEY = /([A-Za-z_][A-Za-z0-9_-]{0,99}): +/y;

const MAX_DEPTH = 20;

/** Thrown if the library has to read the text; caught in this file. */
const UNUSUAL = new Error('not plain');

class PlainReader {
  readonly #source: SourceText;
  readonly #lines: readonly Line[];
  #line = 0;
  #depth = 0;

  constructor(source: SourceText, lines: readonly Line[]) {
    this.#source = source;
    this.#lines = lines;
  }

  items(): readonly Node[] | undefined {
    const items: Node[] = [];
    const column = this.#lines[0]?.column;
    try {
      for (let line = this.#lines[0]; line !== undefined; line = this.#lines[this.#line]) {
        if (!line.isItem || line.column !== column) return undefined;
        if (line.key !== undefined) items.push(this.#map(line.column));
        else {
          items.push(this.#value(line));
          this.#line++;
        }
      }
    } catch (error) {
      if (error === UNUSUAL) return undefined;
      throw error;
    }
    return items;
  }

  /** From this line on, up to one that is less indented or another item. */
  #map(column: number): MapNode {
    const first = this.#lines[this.#line];
    const entries = new Map<string, MapEntry>();
    let end = 0;
    for (
      let line = first;
      line !== undefined && line.column === column && (line === first || !line.isItem);
      line = this.#lines[this.#line]
    ) {
      const { key, keyStart } = line;
      if (key === undefined || entries.has(key) || WORDS_OF_YAML.has(key)) throw UNUSUAL;
      this.#line++;
      const next = this.#lines[this.#line];
      const isDeeper = next !== undefined && !next.isItem && next.column > column;
      if (isDeeper !== (line.valueStart === line.valueEnd)) throw UNUSUAL; // a value over several lines, or none
      const value = isDeeper ? this.#map(next.column) : this.#value(line);
      end = value.place.end;
      entries.set(key, { key, keyPlace: this.#place(keyStart, keyStart + key.length), value });
    }
    return { kind: 'map', place: this.#place(first?.keyStart ?? 0, end), entries };
  }

  #value({ valueStart, valueEnd }: Line): Node {
    const node = this.#collection(valueStart) ?? this.#scalar(valueStart, BLOCK_WORDS);
    if (node.place.end !== valueEnd) throw UNUSUAL;
    return node;
  }

  #collection(start: number): Node | undefined {
    const open = this.#source.text[start];
    if (open !== '{' && open !== '[') return undefined;
    if (++this.#depth > MAX_DEPTH) throw UNUSUAL;
    const collection = open === '{' ? this.#flowMap(start) : this.#flowList(start);
    this.#depth--;
    return collection;
  }

  #scalar(start: number, words: RegExp): ScalarNode {
    const { text } = this.#source;
    const of = (length: number, value: string | number, style: ScalarNode['style']): ScalarNode => ({
      kind: 'scalar',
      place: this.#place(start, start + length),
      value,
      written: String(value),
      style,
    });
    const quote = text[start];
    if (quote === '"' || quote === "'") {
      const quoted = this.#length(quote === '"' ? DOUBLE : SINGLE, start);
      if (quoted === 0) throw UNUSUAL;
      const inner = text.slice(start + 1, start + quoted - 1);
      return of(
        quoted,
        quote === "'" && inner.includes("''") ? inner.replaceAll("''", "'") : inner,
        quote === '"' ? 'double' : 'single',
      );
    }
    const digits = this.#length(NUMBER, start);
    if (digits > 0) return of(digits, Number(text.slice(start, start + digits)), 'plain');
    const length = this.#length(words, start);
    const word = text.slice(start, start + length);
    if (length === 0 || WORDS_OF_YAML.has(word)) throw UNUSUAL;
    return of(length, word, 'plain');
  }

  #flowMap(start: number): MapNode {
    const { text } = this.#source;
    const entries = new Map<string, MapEntry>();
    const end = this.#elements(start, '}', (at) => {
      FLOW_KEY.lastIndex = at;
      const [whole, key] = FLOW_KEY.exec(text) ?? [];
      if (whole === undefined || key === undefined || entries.has(key) || WORDS_OF_YAML.has(key)) throw UNUSUAL;
      const value = this.#flowValue(at + whole.length);
      entries.set(key, { key, keyPlace: this.#place(at, at + key.length), value });
      return value.place.end;
    });
    return { kind: 'map', place: this.#place(start, end), entries };
  }

  #flowList(start: number): Node {
    const items: Node[] = [];
    const end = this.#elements(start, ']', (at) => {
      const item = this.#flowValue(at);
      items.push(item);
      return item.place.end;
    });
    return { kind: 'list', place: this.#place(start, end), items };
  }

  #flowValue(at: number): Node {
    return this.#collection(at) ?? this.#scalar(at, FLOW_WORD);
  }

  /** Reads the elements with `element`, which returns the end of one; returns the end of the collection. */
  #elements(start: number, close: string, element: (at: number) => number): number {
    const { text } = this.#source;
    let at = this.#afterSpaces(start + 1);
    if (text[at] === close) return at + 1;
    for (;;) {
      at = this.#afterSpaces(element(at));
      if (text[at] === close) return at + 1;
      if (text[at] !== ',' || text[at + 1] !== ' ') throw UNUSUAL;
      at = this.#afterSpaces(at + 1);
    }
  }

  #afterSpaces(start: number): number {
    let at = start;
    while (this.#source.text[at] === ' ') at++;
    return at;
  }

  #length(pattern: RegExp, at: number): number {
    pattern.lastIndex = at;
    return pattern.test(this.#source.text) ? pattern.lastIndex - at : 0;
  }

  #place(start: number, end: number): Place {
    return { source: this.#source, start, end };
  }
}
