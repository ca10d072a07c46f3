/**
 * Which attribute a key of a record names.
 * **In**: keys. **Out**: the built-in attribute; for other names, that it is a custom tag. **Fails**: names a key that looks built-in.
 */
import type { Type } from '../../attributes/types.ts';
import { VOCABULARY } from '../../attributes/vocabulary.ts';
import { utf8Text } from '../../protobuf/utf8-text.ts';

export interface EntryName {
  readonly name: string;
  /** Of the attribute in the vocabulary; negative: a custom tag, or one of the names below. */
  readonly number: number;
  readonly type: Type | undefined;
  readonly problem: string | undefined;
}

/** Filter state by name, which is no attribute, but has a carrier. */
export const FILTER_STATE = 'filter_state';

/** Attributes that Envoy puts into the resource by itself. */
const BUILT_IN_LABELS: Readonly<Record<string, string>> = {
  log_name: 'context.log_name',
  node_name: 'context.node.id',
  cluster_name: 'context.node.cluster',
  zone_name: 'context.node.zone',
};

const OF_ENTRIES = VOCABULARY.map((row, number) => ({ ...row, number })).filter(
  ({ carriedBy }) => carriedBy.log !== undefined || carriedBy['tcp-log'] !== undefined,
);
const BY_NAME = new Map(OF_ENTRIES.map(({ name, number, type }) => [name, { number, type }]));
const ROOTS = new Set(OF_ENTRIES.map(({ name }) => name.split('.', 1)[0]));

function nameOf(key: string, isResource: boolean): EntryName {
  const name = isResource && Object.hasOwn(BUILT_IN_LABELS, key) ? (BUILT_IN_LABELS[key] as string) : key;
  const known = BY_NAME.get(name);
  if (known !== undefined) return { name, ...known, problem: undefined };
  const root = name.includes('.') ? name.split('.', 1)[0] : undefined;
  const looksBuiltIn = !isResource && root !== undefined && ROOTS.has(root);
  return {
    name,
    number: -1,
    type: undefined,
    problem: looksBuiltIn ? `no access log has an attribute ${name.slice(0, SHOWN)}` : undefined,
  };
}

const SHOWN = 60;
const MAX_CACHED_BYTES = 64;
const MAX_CACHED = 512;

/** Remembers the names of the last record: the records of a proxy have the same keys in the same order. */
export class EntryNames {
  readonly #isResource: boolean;
  readonly #keys: Buffer[] = [];
  readonly #names: EntryName[] = [];

  constructor(isResource: boolean) {
    this.#isResource = isResource;
  }

  /** `index`: of the attribute in its record. */
  at(index: number, bytes: Buffer, from: number, to: number): EntryName {
    const known = this.#keys[index];
    if (known?.length === to - from) {
      let at = 0;
      while (at < known.length && known[at] === bytes[from + at]) at++;
      if (at === known.length) return this.#names[index] as EntryName;
    }
    const name = nameOf(utf8Text(bytes, from, to), this.#isResource);
    if (index < MAX_CACHED && to - from <= MAX_CACHED_BYTES) {
      this.#keys[index] = Buffer.from(bytes.subarray(from, to));
      this.#names[index] = name;
    }
    return name;
  }
}
