import { type Attribute, attributesOf, isPresent, writeText } from './attributes.ts';
import type { Shape } from 'sluice/plugin';
import { WireWriter } from './wire.ts';

const PREFIX = 'resource.';
const ATTRIBUTES = 1;
/** Distinct resources that are kept encoded; a mesh has one for each workload. */
const MAX_KEPT = 1000;

export const isOfResource = (name: string): boolean => name.startsWith(PREFIX);

/** Encoded resources, one object for equal attributes. */
export class Resources {
  readonly #fixed: Readonly<Record<string, string>>;
  readonly #kept = new Map<string, Buffer>();

  /** `fixed`: attributes of all resources. */
  constructor(fixed: Readonly<Record<string, string>>) {
    this.#fixed = fixed;
  }

  /** Reads the names `resource.*` of a rule's input. */
  of(shape: Shape): (input: Readonly<Record<string, unknown>>) => Buffer {
    const own = attributesOf(shape, Object.keys(shape).filter(isOfResource), PREFIX);
    return (input) => {
      let key = '';
      for (const { name } of own) key += `${JSON.stringify(input[name]) ?? ''}\n`;
      key = `${own.map(({ name }) => name).join()}\n${key}`;
      let resource = this.#kept.get(key);
      if (resource !== undefined) return resource;
      resource = this.#encoded(own, input);
      if (this.#kept.size >= MAX_KEPT) this.#kept.clear();
      this.#kept.set(key, resource);
      return resource;
    };
  }

  #encoded(own: readonly Attribute[], input: Readonly<Record<string, unknown>>): Buffer {
    const out = new WireWriter();
    const names = new Set(
      own.filter(({ name }) => isPresent(input[name])).map(({ name }) => name.slice(PREFIX.length)),
    );
    const fixed = { 'service.name': 'sluice', ...this.#fixed };
    for (const [name, value] of Object.entries(fixed)) if (!names.has(name)) writeText(out, ATTRIBUTES, name, value);
    for (const { name, write } of own) if (isPresent(input[name])) write(out, ATTRIBUTES, input[name]);
    return Buffer.from(out.written);
  }
}
