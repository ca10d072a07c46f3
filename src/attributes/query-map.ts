/** Looked up one by one so many times; then all parameters are read. */
const FEW = 6;
const [AMPERSAND, EQUALS] = [0x26, 0x3d];

/**
 * The parameters of a query that has nothing to decode, as a Map: one that a rule asks for is found in the text, and a table is made
 * for rules that ask for many. It is a `Map` to `instanceof`, below. Of a repeated name the first value counts.
 */
export class QueryMap implements ReadonlyMap<string, string> {
  /** The text that holds the query, and where. */
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
    // No name of a parameter holds what ends one; the empty name is the table's.
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

  /** Where the parameter ends that stands there. */
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

/** Maps are known by their prototype; to extend Map would make a table for each request. */
Object.setPrototypeOf(QueryMap.prototype, Map.prototype);
