/**
 * Files of envoyproxy/ratelimit.
 * **In**: their texts. **Out**: for each domain the tree in which descriptors are looked up. **Fails**: with all findings at once, at
 * their places. Errors of the reference have its texts (src/config/config_impl.go) and a fix; anything that the reference ignores
 * silently is a warning.
 */
import type { Finding } from '../../yaml/findings.ts';
import { SourceText } from '../../yaml/source-text.ts';
import { FieldReader, isNull, mapsOf } from './field-reader.ts';
import { FileFindings } from './file-findings.ts';
import { type GoDocument, type GoMap, type GoNode, GoYamlError, type Place, readGoYaml } from './go-yaml.ts';
import { checkKeys, DESCRIPTOR_KEYS, ROOT_KEYS } from './known-keys.ts';
import { LimitReader } from './limit-reader.ts';
import type { Node } from './tree.ts';
import { patternOf } from './wildcard.ts';

export interface ConfigFile {
  readonly file: string;
  readonly text: string;
  /** Why the bytes are not text, and their position in `text`. */
  readonly flaw?: { readonly why: string; readonly at: number } | undefined;
}

export interface ReadOptions {
  /** Files may add to one domain (MERGE_DOMAIN_CONFIG). */
  readonly mergeDomains: boolean;
  /** `unit: month` is a calendar month in UTC instead of 30 days (USE_CALENDAR_MONTH_RATE_LIMIT). */
  readonly calendarMonths?: boolean | undefined;
}

export interface ReadConfig {
  readonly domains: ReadonlyMap<string, Node>;
  readonly findings: readonly Finding[];
}

export function readConfigs(files: readonly ConfigFile[], options: ReadOptions): ReadConfig {
  const domains = new Map<string, Node>();
  const places = new Map<string, string>();
  const findings: Finding[] = [];
  for (const { file, text, flaw } of files) {
    const source = new SourceText(file, text);
    new FileReader(new FileFindings(source, findings), options, domains, places).read(source.text, flaw);
  }
  return { domains, findings };
}

const newNode = (text: string, rest: Partial<Omit<Node, 'text'>> = {}): Node => ({
  text,
  limit: undefined,
  children: new Map(),
  patterns: [],
  pattern: undefined,
  isDetailed: false,
  hasValueInMetric: false,
  isShared: false,
  ...rest,
});

class FileReader {
  readonly #findings: FileFindings;
  readonly #mergeDomains: boolean;
  readonly #domains: Map<string, Node>;
  /** Where each domain is declared first, as `file:line`. */
  readonly #places: Map<string, string>;
  readonly #reader: FieldReader;
  readonly #limits: LimitReader;

  constructor(
    findings: FileFindings,
    { mergeDomains, calendarMonths = false }: ReadOptions,
    domains: Map<string, Node>,
    places: Map<string, string>,
  ) {
    this.#findings = findings;
    this.#mergeDomains = mergeDomains;
    this.#domains = domains;
    this.#places = places;
    this.#reader = new FieldReader(findings);
    this.#limits = new LimitReader(this.#reader, calendarMonths);
  }

  read(text: string, flaw: ConfigFile['flaw']): void {
    if (flaw !== undefined) return this.#notYaml({ start: flaw.at, end: flaw.at + 1 }, `${flaw.why}; save it as UTF-8`);
    let document: GoDocument;
    try {
      document = readGoYaml(text);
    } catch (error) {
      if (error instanceof GoYamlError) return this.#notYaml(error.place, error.message);
      if (error instanceof RangeError) return this.#notYaml(START, 'nested too deeply');
      throw error;
    }
    const { root, further } = document;
    for (const place of further)
      this.#findings.warning(
        place,
        'RATELIMIT_FURTHER_DOCUMENT',
        'only the first document of a file is read; this document and its limits are ignored, so put it into a separate file',
      );
    if (root === undefined || isNull(root)) return this.#emptyDomain(START);
    if (root.kind !== 'map')
      return this.#findings.error(
        root,
        'RATELIMIT_VALUE_TYPE',
        'error loading config file: expected a map with domain and descriptors',
      );
    const errorsBefore = this.#findings.errors;
    checkKeys(root, this.#findings);
    if (this.#findings.errors === errorsBefore) this.#domain(root);
  }

  #notYaml(place: Place, why: string): void {
    this.#findings.error(place, 'RATELIMIT_YAML', `error loading config file: yaml: ${why}`);
  }

  #emptyDomain(place: Place): void {
    this.#findings.error(place, 'RATELIMIT_EMPTY_DOMAIN', 'config file cannot have empty domain; write domain: NAME');
  }

  #domain(root: GoMap): void {
    const fields = this.#reader.fields(root, ROOT_KEYS, 'a file');
    const name = this.#reader.text(fields.get('domain'));
    const place = fields.get('domain') ?? root;
    if (name === '') return this.#emptyDomain(place);
    const known = this.#domains.get(name);
    if (known !== undefined && !this.#mergeDomains)
      return this.#findings.error(
        place,
        'RATELIMIT_DUPLICATE_DOMAIN',
        `duplicate domain '${name}' in config file; it is in ${this.#places.get(name)} too: ` +
          'put both in one file, or set MERGE_DOMAIN_CONFIG=true',
      );
    if (known === undefined) {
      const { file, line } = this.#findings.positionOf(place);
      this.#places.set(name, `${file}:${line}`);
    }
    const node = known ?? newNode(name);
    this.#domains.set(name, node);
    this.#descriptors(fields.get('descriptors'), node, `${name}.`);
  }

  #descriptors(list: GoNode | undefined, parent: Node, parentKey: string): void {
    if (list === undefined || isNull(list)) return;
    if (list.kind !== 'list')
      return this.#findings.error(list, 'RATELIMIT_VALUE_TYPE', 'descriptors must be a list: - key: NAME');
    for (const item of mapsOf(list)) this.#descriptor(item, parent, parentKey);
  }

  #descriptor(map: GoMap, parent: Node, parentKey: string): void {
    const reader = this.#reader;
    const fields = reader.fields(map, DESCRIPTOR_KEYS, 'a descriptor');
    const key = reader.text(fields.get('key'));
    if (key === '')
      return this.#findings.error(
        fields.get('key') ?? map,
        'RATELIMIT_EMPTY_KEY',
        'descriptor has empty key; write key: NAME',
      );
    const value = reader.text(fields.get('value'));
    const text = value === '' ? key : `${key}_${value}`;
    const fullKey = `${parentKey}${text}`;
    const known = parent.children.get(text);
    if (known !== undefined)
      return this.#findings.error(
        fields.get('value') ?? fields.get('key') ?? map,
        'RATELIMIT_DUPLICATE_KEY',
        known.limit?.endsLease === true
          ? `'${fullKey}' ends the leases of the limit above it; choose another entry with sluice: { ended_by: KEY }`
          : `duplicate descriptor composite key '${fullKey}'; keep one of the two`,
      );
    const isShared = reader.flag(fields.get('share_threshold'));
    if (isShared && !text.includes('*'))
      this.#findings.error(
        fields.get('share_threshold') ?? map,
        'RATELIMIT_SHARE_THRESHOLD',
        `share_threshold can only be used with wildcard values (containing '*'), but found key '${fullKey}'`,
      );
    const isTop = this.#domains.get(parent.text) === parent;
    const { limit, endedBy } = this.#limits.read(fields, fullKey, isTop);
    const pattern = text.includes('*') ? patternOf(text) : undefined;
    const node = newNode(text, {
      limit,
      pattern,
      isShared,
      isDetailed: reader.flag(fields.get('detailed_metric')),
      hasValueInMetric: reader.flag(fields.get('value_to_metric')),
    });
    parent.children.set(text, node);
    if (pattern !== undefined) parent.patterns.push(node);
    if (limit?.algorithm === 'concurrency')
      node.children.set(endedBy, newNode(endedBy, { limit: { ...limit, endsLease: true } }));
    this.#descriptors(fields.get('descriptors'), node, `${fullKey}.`);
  }
}

const START: Place = { start: 0, end: 0 };
