/** Reads the fields of a map as Go decodes them into a struct. A field of the wrong type is a finding, and reads as its zero value. */
import type { FileFindings } from './file-findings.ts';
import type { GoEntry, GoList, GoMap, GoNode, GoScalar } from './go-yaml.ts';

export type Fields = ReadonlyMap<string, GoNode>;

/** If one of these is repeated, Go decodes it into the value of the first, so their entries are merged. */
const ADDING_KEYS = ['rate_limit', 'metadata'];
const MAX_UINT32 = 0xffff_ffffn;

export class FieldReader {
  readonly findings: FileFindings;

  constructor(findings: FileFindings) {
    this.findings = findings;
  }

  /** The last value of a repeated key is in force, even if `<<` merges it after the key itself. `where` names the map in warnings. */
  fields(map: GoMap, own: readonly string[], where: string): Fields {
    const fields = new Map<string, GoNode>();
    const written = new Set<string>();
    for (const entry of map.entries) {
      const { key, value, mergedAt } = entry;
      const name = (key as GoScalar).text;
      const known = fields.get(name);
      if (!own.includes(name))
        this.findings.warning(
          key,
          'RATELIMIT_MISPLACED_KEY',
          `${name} has no meaning in ${where} and is ignored; known keys are ${own.join(', ')}`,
        );
      if (written.has(name)) this.#warnOfRepeated(entry, name);
      if (mergedAt === undefined) written.add(name);
      fields.set(
        name,
        ADDING_KEYS.includes(name) && known?.kind === 'map' && value.kind === 'map'
          ? { ...value, entries: [...known.entries, ...value.entries] }
          : value,
      );
    }
    return fields;
  }

  #warnOfRepeated({ key, mergedAt }: GoEntry, name: string): void {
    const effect = ADDING_KEYS.includes(name)
      ? 'is merged into the one above, and wins if both set a key'
      : 'replaces the one above, which is ignored';
    this.findings.warning(
      mergedAt ?? key,
      'RATELIMIT_REPEATED_KEY',
      mergedAt === undefined
        ? `${name} occurs twice in one map; this one ${effect}`
        : `<< merges another ${name}, which ${effect}; put << first`,
    );
  }

  /** As written: `yes` stays `yes`, and `010` stays `010`. */
  text(node: GoNode | undefined): string {
    if (node === undefined || isNull(node)) return '';
    if (node.kind === 'scalar') return node.text;
    this.findings.error(node, 'RATELIMIT_VALUE_TYPE', 'error loading config file: expected text');
    return '';
  }

  flag(node: GoNode | undefined): boolean {
    if (node === undefined || isNull(node)) return false;
    if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value;
    this.findings.error(
      node,
      'RATELIMIT_VALUE_TYPE',
      `error loading config file: ${this.findings.textAt(node)} is not true or false (without quotes)`,
    );
    return false;
  }

  /** A uint32. */
  count(node: GoNode | undefined): number {
    if (node === undefined || isNull(node)) return 0;
    if (node.kind === 'scalar' && typeof node.value === 'bigint' && node.value >= 0n && node.value <= MAX_UINT32)
      return Number(node.value);
    this.findings.error(
      node,
      'RATELIMIT_VALUE_TYPE',
      `error loading config file: ${this.findings.textAt(node)} is not a whole number from 0 to ${MAX_UINT32} (without quotes)`,
    );
    return 0;
  }
}

export const isNull = (node: GoNode): boolean => node.kind === 'scalar' && node.value === null;

/** Skips items of another kind, which {@link checkKeys} has reported. */
export const mapsOf = ({ items }: GoList): readonly GoMap[] => items.filter((item) => item.kind === 'map');
