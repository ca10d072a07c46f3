/** Random expressions, nearly all well typed. */
import { ODD_LITERALS, anyText, literalOf, textOfKind, type TextKind } from './texts.ts';
import type { Random } from './random.ts';
import { formOf } from './forms.ts';
import {
  type Kind,
  NAMES,
  VARIABLES_OF,
  ANY,
  ORDERED,
  NUMBERS,
  INT_LITERALS,
  UINT_LITERALS,
  DOUBLE_LITERALS,
  PIECES,
  WORDS,
  ELEMENTS,
  ENTRIES,
  CONTAINERS,
} from './kinds.ts';

export class Generator {
  readonly random: Random;
  /** Variables of macros around. */
  readonly bound: { readonly name: string; readonly kind: Kind }[] = [];

  constructor(random: Random) {
    this.random = random;
  }

  expression(): string {
    const random = this.random;
    const source = this.of(random.of(ANY), random.of([0, 1, 1, 1, 2, 2, 2, 3, 3, 4]));
    return random.is(0.06) ? this.changed(source) : source;
  }

  changed(source: string): string {
    const random = this.random;
    const chars = Array.from(source);
    const at = random.below(chars.length + 1);
    const count = random.below(3);
    const put = random.is(0.7) ? random.of(PIECES) : '';
    return [...chars.slice(0, at), put, ...chars.slice(at + count)].join('');
  }

  of(kind: Kind, depth: number): string {
    const random = this.random;
    if (random.is(0.025)) return this.of(random.of(ANY), depth - 1);
    const bound = this.bound.filter((one) => one.kind === kind);
    if (bound.length > 0 && random.is(0.45)) return random.of(bound).name;
    if (depth <= 0) return this.leaf(kind);
    if (random.is(0.05))
      return `(${this.of('bool', depth - 1)} ? ${this.of(kind, depth - 1)} : ${this.of(kind, depth - 1)})`;
    if (random.is(0.015)) return this.bind(kind, depth);
    if (random.is(0.02)) return `${this.list(kind, depth - 1)}[${this.of('int', 0)}]`;
    return formOf(kind, depth - 1, this);
  }

  leaf(kind: Kind): string {
    const random = this.random;
    const names = VARIABLES_OF.get(NAMES[kind] ?? kind);
    if (names !== undefined && random.is(0.6)) return random.of(names);
    return this.literal(kind);
  }

  text(kind: TextKind): string {
    return literalOf(this.random, textOfKind(this.random, kind));
  }
  /** A text for a function that reads texts of a kind: most often such a literal. */
  textFor(kind: TextKind, depth: number): string {
    const random = this.random;
    return random.is(0.75)
      ? this.text(kind)
      : random.is(0.5)
        ? random.of(['s', 't', 'ls[0]'])
        : this.of('string', depth);
  }

  literal(kind: Kind): string {
    const random = this.random;
    switch (kind) {
      case 'bool':
        return random.of(['true', 'false']);
      case 'int':
        return random.of(INT_LITERALS);
      case 'uint':
        return random.of(UINT_LITERALS);
      case 'double':
        return random.of(DOUBLE_LITERALS);
      case 'string':
        return random.is(0.08) ? random.of(ODD_LITERALS) : literalOf(random, anyText(random));
      case 'bytes':
        return random.is(0.2) ? random.of(ODD_LITERALS) : `b${literalOf(random, anyText(random))}`;
      case 'timestamp':
        return `timestamp(${this.text('time')})`;
      case 'duration':
        return `duration(${this.text('span')})`;
      case 'ip':
        return `ip(${this.text('address')})`;
      case 'cidr':
        return `cidr(${this.text('range')})`;
      case 'type':
        return random.of([
          'int',
          'uint',
          'double',
          'string',
          'bytes',
          'bool',
          'list',
          'map',
          'type',
          'null_type',
          'google.protobuf.Timestamp',
          'google.protobuf.Duration',
          'optional_type',
          'dyn',
          'net.IP',
          'timestamp',
        ]);
      case 'null':
        return 'null';
      case 'maybeInt':
      case 'maybeText':
        return 'optional.none()';
      case 'dyn':
        return `dyn(${this.literal(random.of(ANY.filter((one) => one !== 'dyn')))})`;
      case 'ints':
      case 'uints':
      case 'doubles':
      case 'strings':
      case 'bools':
      case 'dyns':
      case 'lists':
        return random.is(0.2) ? '[]' : this.list(ELEMENTS[kind], 0);
      case 'map':
      case 'intKeys':
      case 'uintKeys':
      case 'boolKeys':
      case 'dynMap':
        return random.is(0.2) ? '{}' : this.entries(ENTRIES[kind], 0);
    }
  }

  list(kind: Kind, depth: number): string {
    const random = this.random;
    const items = random.some(3, () => (random.is(0.04) ? `?${this.of('maybeInt', depth)}` : this.of(kind, depth)));
    return `[${items.join(', ')}${random.is(0.03) ? ',' : ''}]`;
  }

  entries([key, of]: readonly [Kind, Kind], depth: number): string {
    const random = this.random;
    const items = random.some(3, () => `${random.is(0.05) ? '?' : ''}${this.of(key, depth)}: ${this.of(of, depth)}`);
    return `{${items.join(', ')}}`;
  }

  bind(kind: Kind, depth: number): string {
    const of = this.random.of(ANY);
    const value = this.of(of, depth - 1);
    return `cel.bind(z, ${value}, ${this.within([{ name: 'z', kind: of }], () => this.of(kind, depth - 1))})`;
  }

  within(variables: readonly { readonly name: string; readonly kind: Kind }[], make: () => string): string {
    this.bound.push(...variables);
    const made = make();
    this.bound.splice(-variables.length);
    return made;
  }

  /** `LIST.macro(n, BODY)`, or with two variables, of a list or a map. */
  macro(name: string, body: Kind, depth: number, filter = false): string {
    const random = this.random;
    const [over, key, of] = random.of(CONTAINERS);
    const isMap = over in ENTRIES;
    const first = filter ? `${this.of('bool', depth)}, ` : '';
    const text = (variables: readonly { readonly name: string; readonly kind: Kind }[]): string =>
      this.within(variables, () => `${variables.map((one) => one.name).join(', ')}, ${first}${this.of(body, depth)}`);
    return `${this.of(over, depth)}.${name}(${text([{ name: 'n', kind: isMap ? key : of }])})`;
  }
  macroOfTwo(name: string, body: Kind, depth: number): string {
    const random = this.random;
    const [over, key, of] = random.of(CONTAINERS);
    const filter = name.startsWith('transform') && random.is(0.3) ? `${this.of('bool', 0)}, ` : '';
    return `${this.of(over, depth)}.${name}(k, m, ${this.within(
      [
        { name: 'k', kind: key },
        { name: 'm', kind: of },
      ],
      () => filter + this.of(body, depth),
    )})`;
  }

  comparison(depth: number): string {
    const random = this.random;
    const sign = random.of(['==', '!=', '<', '<=', '>', '>=']);
    const kind = random.of(random.is(0.6) ? ORDERED : ANY);
    return `${this.of(kind, depth)} ${sign} ${this.of(random.is(0.9) ? kind : random.of(ANY), depth)}`;
  }

  membership(depth: number): string {
    const random = this.random;
    const [over, key, of] = random.of(CONTAINERS);
    const item = over in ENTRIES ? key : of;
    return `${this.of(random.is(0.8) ? item : random.of([...NUMBERS, 'dyn']), depth)} in ${this.of(over, depth)}`;
  }

  has(depth: number): string {
    const random = this.random;
    const field = random.of(WORDS);
    return random.of([
      `has(ms.${field})`,
      `has(md.${field}.${random.of(WORDS)})`,
      `has(${this.of('map', depth)}.${field})`,
      `has(dy.${field})`,
      `has(${this.of('dyn', depth)}.${field})`,
      `has(md.${field})`,
    ]);
  }
}
