/** After this number of lookups all parameters are read into a table. */
const FEW = 6;
const [AMPERSAND, EQUALS] = [0x26, 0x3d];

/**
 * The parameters of a query that needs no decoding, as a Map. The first lookups search the text; later ones use a table.
 * `instanceof Map` is true (see below). The first value of a repeated name wins.
 */
export class QueryMap implements ReadonlyMap<string, string> {
  /** The query is the part of the text from `from` to `to`. */
  readonly #text: string;
  readonly #from: number;
  readonly #to: number;
  #looks = 0;
  #table: Map<string, string> | undefined;

  constructor(text: string, from: number, to: number) {
    this.#text = text;
    this.#from = from;
    this.#to = to;
  }

  get(name: string): string | undefined {
    if (this.#table !== undefined) return this.#table.get(name);
    // A name with a separator is not in the text, and the table handles the empty name.
    if (this.#looks++ >= FEW || name === '' || name.includes('=') || name.includes('&')) return this.#all().get(name);
    const text = this.#text;
    for (let from = this.#from; from < this.#to; from = this.#endFrom(from) + 1) {
      if (!text.startsWith(name, from)) continue;
      const end = from + name.length;
      const unit = end < this.#to ? text.charCodeAt(end) : AMPERSAND;
      if (unit === EQUALS) return text.slice(end + 1, this.#endFrom(end));
      if (unit === AMPERSAND && end <= this.#to) return '';
    }
    return undefined;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  get size(): number {
    return this.#all().size;
  }

  keys(): MapIterator<string> {
    return this.#all().keys();
  }

  values(): MapIterator<string> {
    return this.#all().values();
  }

  entries(): MapIterator<[string, string]> {
    return this.#all().entries();
  }

  [Symbol.iterator](): MapIterator<[string, string]> {
    return this.entries();
  }

  forEach(visit: (value: string, name: string, map: ReadonlyMap<string, string>) => void): void {
    for (const [name, value] of this.#all()) visit(value, name, this);
  }

  /** The end of the parameter at `at`. */
  #endFrom(at: number): number {
    let end = at;
    while (end < this.#to && this.#text.charCodeAt(end) !== AMPERSAND) end++;
    return end;
  }

  #all(): Map<string, string> {
    if (this.#table !== undefined) return this.#table;
    const table = new Map<string, string>();
    for (let from = this.#from; from < this.#to;) {
      const end = this.#endFrom(from);
      if (end > from) {
        const parameter = this.#text.slice(from, end);
        const equals = parameter.indexOf('=');
        const name = equals < 0 ? parameter : parameter.slice(0, equals);
        if (!table.has(name)) table.set(name, equals < 0 ? '' : parameter.slice(equals + 1));
      }
      from = end + 1;
    }
    return (this.#table = table);
  }
}

/** Makes `instanceof Map` true; a subclass of Map would allocate a table for each request. */
Object.setPrototypeOf(QueryMap.prototype, Map.prototype);
