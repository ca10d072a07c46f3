/** A look into a configuration of Envoy: protobuf in JSON or YAML, whose fields are in snake_case or lowerCamelCase. */
import type { Node, Place } from '../../yaml/nodes.ts';

const camelCase = (name: string): string =>
  name.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

export class View {
  readonly node: Node;
  readonly place: Place;

  constructor(node: Node, place: Place = node.place) {
    this.node = node;
    this.place = place;
  }

  /** A field, or a field of a field. */
  at(...path: readonly string[]): View | undefined {
    return path.reduce<View | undefined>((view, name) => (view === undefined ? undefined : view.#field(name)), this);
  }

  #field(name: string): View | undefined {
    if (this.node.kind !== 'map') return undefined;
    const entry = this.node.entries.get(name) ?? this.node.entries.get(camelCase(name));
    return entry === undefined || isNull(entry.value) ? undefined : new View(entry.value, entry.keyPlace);
  }

  items(...path: readonly string[]): readonly View[] {
    const node = this.at(...path)?.node;
    return node?.kind === 'list' ? node.items.map((item) => new View(item)) : [];
  }

  entries(...path: readonly string[]): readonly (readonly [key: string, value: View])[] {
    const node = this.at(...path)?.node;
    return node?.kind === 'map'
      ? [...node.entries.values()].map(({ key, keyPlace, value }) => [key, new View(value, keyPlace)] as const)
      : [];
  }

  text(...path: readonly string[]): string | undefined {
    const node = this.at(...path)?.node;
    return node?.kind === 'scalar' && node.value !== null ? String(node.value) : undefined;
  }

  /** A wrapped value may also be written as the value alone, as in protobuf's JSON. */
  isTrue(...path: readonly string[]): boolean {
    return this.text(...path) === 'true';
  }

  number(...path: readonly string[]): number | undefined {
    const text = this.text(...path);
    return text === undefined || text.trim() === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
  }

  /** In milliseconds: `0.2s`. */
  durationMs(...path: readonly string[]): number | undefined {
    const text = this.text(...path);
    const seconds = /^(-?[\d.]+)s$/.exec(text ?? '')?.[1];
    return seconds === undefined ? undefined : Math.round(Number(seconds) * 1e6) / 1000;
  }

  /** Whether `typed_config` is of this message, by the last words of its type. */
  isOfType(suffix: string): boolean {
    return this.text('typed_config', '@type')?.endsWith(suffix) === true;
  }

  get config(): View {
    return this.at('typed_config') ?? this;
  }
}

const isNull = (node: Node): boolean => node.kind === 'scalar' && node.value === null;
