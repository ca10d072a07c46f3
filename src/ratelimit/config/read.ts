/**
 * Files of envoyproxy/ratelimit.
 * **In**: their texts. **Out**: for each domain the tree that descriptors are looked up in. **Fails**: with every finding at once, at its
 * place; the texts of the asserted ones are the reference's (src/config/config_impl.go), with what to do after them. What the reference
 * drops in silence is a warning.
 */
import { meant } from '../../text/nearest.ts';
import { SourceText } from '../../core/rules/yaml/source-text.ts';
import { type JsonObject, Unit, unitOfName } from '../call.ts';
import type { RatelimitErrorCode } from './errors.ts';
import { type Beyond, type FieldReader, type Fields, mostOf, readBeyond, SLUICE_KEYS } from './extensions.ts';
import {
  type GoDocument,
  type GoEntry,
  type GoList,
  type GoMap,
  type GoNode,
  type GoScalar,
  GoYamlError,
  type Place,
  readGoYaml,
} from './go-yaml.ts';
import { metadataOf } from './metadata.ts';
import type { Limit, Node } from './tree.ts';
import { patternOf } from './wildcard.ts';
import { windowOf } from './window.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Finding, Severity } from '../../core/rules/yaml/findings.ts';

export interface ConfigFile {
  readonly file: string;
  readonly text: string;
  /** Why its octets are no text, and where in `text` they begin. */
  readonly flaw?: { readonly why: string; readonly at: number } | undefined;
}

export interface ReadOptions {
  /** Files may add to one domain (MERGE_DOMAIN_CONFIG). */
  readonly mergeDomains: boolean;
  /** A month is the calendar's, in UTC, in place of 30 days (USE_CALENDAR_MONTH_RATE_LIMIT). */
  readonly calendarMonths?: boolean | undefined;
}

export interface ReadConfig {
  readonly domains: ReadonlyMap<string, Node>;
  readonly findings: readonly Finding[];
}

const ROOT_KEYS = ['domain', 'descriptors'];
const DESCRIPTOR_KEYS = [
  'key',
  'value',
  'descriptors',
  'rate_limit',
  'shadow_mode',
  'quota_mode',
  'detailed_metric',
  'value_to_metric',
  'share_threshold',
  'metadata',
];
const LIMIT_KEYS = ['unit', 'requests_per_unit', 'unlimited', 'name', 'replaces', 'sluice'];
const REPLACES_KEYS = ['name'];
const ALSO_KEYS = ['unit', 'requests_per_unit', 'sluice'];
/** One flat set, as the reference has it: known is what is known anywhere. */
const KNOWN_KEYS = [...new Set([...ROOT_KEYS, ...DESCRIPTOR_KEYS, ...LIMIT_KEYS, ...SLUICE_KEYS])];
/** Go decodes a repeated one of these into what the first has left: entries add up. */
const ADDING_KEYS = ['rate_limit', 'metadata'];

const MOST_UINT32 = 0xffff_ffffn;
const MOST_INT64 = 2n ** 63n - 1n;

export function readConfigs(files: readonly ConfigFile[], options: ReadOptions): ReadConfig {
  const domains = new Map<string, Node>();
  const findings: Finding[] = [];
  for (const { file, text, flaw } of files)
    new FileReader(new SourceText(file, text), options, domains, findings).read(flaw);
  return { domains, findings };
}

export const newNode = (text: string, rest: Partial<Omit<Node, 'text'>> = {}): Node => ({
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
  readonly #source: SourceText;
  readonly #options: ReadOptions;
  readonly #domains: Map<string, Node>;
  readonly #findings: Finding[];
  readonly #said = new Set<string>();
  readonly #checked = new Set<GoMap>();
  #errors = 0;
  readonly #reader: FieldReader = {
    fields: (map, own, where) => this.#fields(map, own, where),
    text: (node) => this.#text(node),
    errorAt: (node, code, message) => this.#errorAt(node, code, message),
  };

  constructor(source: SourceText, options: ReadOptions, domains: Map<string, Node>, findings: Finding[]) {
    this.#source = source;
    this.#options = options;
    this.#domains = domains;
    this.#findings = findings;
  }

  read(flaw: ConfigFile['flaw']): void {
    if (flaw !== undefined)
      return this.#errorAt(
        { start: flaw.at, end: flaw.at + 1 },
        'RATELIMIT_YAML',
        `error loading config file: yaml: ${flaw.why}; save it as UTF-8`,
      );
    let document: GoDocument;
    try {
      document = readGoYaml(this.#source.text);
    } catch (error) {
      if (error instanceof GoYamlError)
        return this.#errorAt(error.place, 'RATELIMIT_YAML', `error loading config file: yaml: ${error.message}`);
      if (error instanceof RangeError)
        return this.#errorAt(
          START,
          'RATELIMIT_YAML',
          'error loading config file: yaml: too many levels within each other',
        );
      throw error;
    }
    const { root, further } = document;
    for (const place of further)
      this.#add(
        'warning',
        place,
        'RATELIMIT_FURTHER_DOCUMENT',
        'a file is read up to its first ---; this document and its limits are ignored, so put it into a file of its own',
      );
    if (root === undefined || isNull(root))
      return this.#errorAt(START, 'RATELIMIT_EMPTY_DOMAIN', 'config file cannot have empty domain; write domain: NAME');
    if (root.kind !== 'map')
      return this.#errorAt(
        root,
        'RATELIMIT_VALUE_TYPE',
        'error loading config file: a map with domain and descriptors is expected',
      );
    const before = this.#errors;
    this.#checkKeys(root);
    if (this.#errors > before) return;
    this.#domain(root);
  }

  // ---------------------------------------------------------- keys and types, everywhere

  #checkKeys(map: GoMap): void {
    if (this.#checked.has(map)) return;
    this.#checked.add(map);
    const values = new Map<string, GoNode>();
    for (const { key, value } of map.entries) {
      const name = (key as GoScalar).value;
      if (typeof name !== 'string') {
        this.#errorAt(
          key,
          'RATELIMIT_KEY_TYPE',
          `config error, key is not of type string: ${this.#textOf(key)}; quote it`,
        );
      } else if (!KNOWN_KEYS.includes(name)) {
        this.#errorAt(key, 'RATELIMIT_UNKNOWN_KEY', `config error, unknown key '${name}'${meant(name, KNOWN_KEYS)}`);
      } else if (name !== 'metadata') values.set(name, value);
    }
    for (const value of values.values()) this.#checkValue(value);
  }

  #checkValue(value: GoNode): void {
    if (value.kind === 'map') return this.#checkKeys(value);
    if (value.kind === 'list') {
      for (const item of value.items) {
        if (item.kind === 'map') this.#checkKeys(item);
        else
          this.#errorAt(
            item,
            'RATELIMIT_KEY_TYPE',
            `config error, yaml file contains list of type other than map: ${this.#textOf(item)}`,
          );
      }
      return;
    }
    if (typeof value.value === 'number')
      this.#errorAt(
        value,
        'RATELIMIT_VALUE_TYPE',
        `error checking config: ${this.#textOf(value)} is a number with a point; quote it where it is text`,
      );
    else if (typeof value.value === 'bigint' && value.value > MOST_INT64)
      this.#errorAt(
        value,
        'RATELIMIT_VALUE_TYPE',
        `error checking config: ${this.#textOf(value)} is too large a number; quote it where it is text`,
      );
  }

  // ---------------------------------------------------------- what they mean

  #domain(root: GoMap): void {
    const fields = this.#fields(root, ROOT_KEYS, 'a file');
    const name = this.#text(fields.get('domain'));
    if (name === '')
      return this.#errorAt(
        fields.get('domain') ?? root,
        'RATELIMIT_EMPTY_DOMAIN',
        'config file cannot have empty domain; write domain: NAME',
      );
    const known = this.#domains.get(name);
    if (known !== undefined && !this.#options.mergeDomains) {
      return this.#errorAt(
        fields.get('domain') ?? root,
        'RATELIMIT_DUPLICATE_DOMAIN',
        `duplicate domain '${name}' in config file; put both in one file, or set MERGE_DOMAIN_CONFIG=true`,
      );
    }
    const node = known ?? newNode(name);
    this.#domains.set(name, node);
    this.#descriptors(fields.get('descriptors'), node, `${name}.`);
  }

  #descriptors(list: GoNode | undefined, parent: Node, parentKey: string): void {
    if (list === undefined || isNull(list)) return;
    if (list.kind !== 'list') return this.#errorAt(list, 'RATELIMIT_VALUE_TYPE', 'descriptors is a list: - key: NAME');
    for (const item of mapsOf(list)) this.#descriptor(item, parent, parentKey);
  }

  #descriptor(map: GoMap, parent: Node, parentKey: string): void {
    const fields = this.#fields(map, DESCRIPTOR_KEYS, 'a descriptor');
    const key = this.#text(fields.get('key'));
    if (key === '')
      return this.#errorAt(
        fields.get('key') ?? map,
        'RATELIMIT_EMPTY_KEY',
        'descriptor has empty key; write key: NAME',
      );
    const value = this.#text(fields.get('value'));
    const text = value === '' ? key : `${key}_${value}`;
    const fullKey = `${parentKey}${text}`;
    const known = parent.children.get(text);
    if (known !== undefined) {
      return this.#errorAt(
        fields.get('value') ?? fields.get('key') ?? map,
        'RATELIMIT_DUPLICATE_KEY',
        known.limit?.endsLease === true
          ? `'${fullKey}' ends the leases of the limit above it; name another entry that does by sluice: { ended_by: KEY }`
          : `duplicate descriptor composite key '${fullKey}'; keep one of the two`,
      );
    }
    const isShared = this.#flag(fields.get('share_threshold'));
    if (isShared && !text.includes('*')) {
      this.#errorAt(
        fields.get('share_threshold') ?? map,
        'RATELIMIT_SHARE_THRESHOLD',
        `share_threshold can only be used with wildcard values (containing '*'), but found key '${fullKey}'`,
      );
    }
    const isTop = this.#domains.get(parent.text) === parent;
    const { limit, endedBy } = this.#limit(fields, fullKey, isTop);
    const pattern = text.includes('*') ? patternOf(text) : undefined;
    const node = newNode(text, {
      limit,
      pattern,
      isShared,
      isDetailed: this.#flag(fields.get('detailed_metric')),
      hasValueInMetric: this.#flag(fields.get('value_to_metric')),
    });
    parent.children.set(text, node);
    if (pattern !== undefined) parent.patterns.push(node);
    if (limit?.algorithm === 'concurrency')
      node.children.set(endedBy, newNode(endedBy, { limit: { ...limit, endsLease: true } }));
    this.#descriptors(fields.get('descriptors'), node, `${fullKey}.`);
  }

  #limit(
    descriptor: Fields,
    fullKey: string,
    isTop: boolean,
  ): { readonly limit: Limit | undefined; readonly endedBy: string } {
    const given = descriptor.get('rate_limit');
    const [shadow, quota] = [this.#flag(descriptor.get('shadow_mode')), this.#flag(descriptor.get('quota_mode'))];
    const metadata = this.#metadata(descriptor.get('metadata'));
    const nothing = { limit: undefined, endedBy: '' };
    if (given === undefined || (given.kind === 'scalar' && given.isNothing)) return nothing;
    const map: GoNode = isNull(given) ? { kind: 'map', start: given.start, end: given.end, entries: [] } : given; // NULL makes an empty struct
    if (map.kind !== 'map') {
      this.#errorAt(map, 'RATELIMIT_VALUE_TYPE', 'rate_limit is a map: { unit: minute, requests_per_unit: 10 }');
      return nothing;
    }
    const before = this.#errors;
    const fields = this.#fields(map, LIMIT_KEYS, 'rate_limit');
    const unlimited = this.#flag(fields.get('unlimited'));
    const beyond = readBeyond(fields.get('sluice'), this.#reader);
    const { algorithm, outage, endedBy, also } = beyond;
    const unit =
      algorithm === 'concurrency'
        ? this.#lease(fields, map, isTop)
        : this.#unit(fields, map, unlimited, beyond.hasPeriod);
    const name = this.#text(fields.get('name'));
    const limit: Limit = {
      fullKey,
      name,
      unlimited,
      ...this.#amount(fields, map, beyond, unit, unlimited),
      endsLease: false,
      replaces: this.#replaces(fields.get('replaces'), name),
      also: [],
      outage,
      shadow,
      quota,
      metadata,
      position: this.#source.positionAt(map.start),
    };
    const whole = also === undefined ? limit : { ...limit, also: this.#also(also, limit) };
    if (this.#errors === before && !unlimited) this.#warnOfNoAmount(fields, map);
    return { endedBy, limit: whole };
  }

  /** `sluice: { also: [{ unit: hour, requests_per_unit: 100 }] }`: further limits of the same descriptor. */
  #also(list: GoNode, main: Limit): readonly Limit[] {
    if (list.kind !== 'list') {
      this.#errorAt(
        list,
        'RATELIMIT_SLUICE',
        'also is a list of further limits: [{ unit: hour, requests_per_unit: 100 }]',
      );
      return [];
    }
    if (main.unlimited || main.algorithm === 'concurrency')
      this.#errorAt(
        list,
        'RATELIMIT_SLUICE',
        `also does not go with ${main.unlimited ? 'unlimited' : 'algorithm: concurrency'}`,
      );
    const periodsS = new Set([main.window.lengthS]);
    return mapsOf(list).map((item): Limit => {
      const before = this.#errors;
      const fields = this.#fields(item, ALSO_KEYS, 'an entry of also');
      const beyond = readBeyond(fields.get('sluice'), this.#reader);
      const { algorithm, outage, also } = beyond;
      if (algorithm === 'concurrency' || also !== undefined)
        this.#errorAt(
          item,
          'RATELIMIT_SLUICE',
          `a further limit has no ${also === undefined ? 'algorithm: concurrency' : 'also of its own'}`,
        );
      const amount = this.#amount(fields, item, beyond, this.#unit(fields, item, false, beyond.hasPeriod), false);
      const { lengthS } = amount.window;
      if (periodsS.has(lengthS))
        this.#errorAt(
          item,
          'RATELIMIT_SLUICE',
          'the limits of a descriptor differ in their periods, and this one has the period of another',
        );
      periodsS.add(lengthS);
      if (this.#errors === before) this.#warnOfNoAmount(fields, item);
      return {
        ...main,
        name: '',
        replaces: [],
        ...amount,
        outage: outage ?? main.outage,
        position: this.#source.positionAt(item.start),
      };
    });
  }

  /** How much of what, in which time. */
  #amount(
    fields: Fields,
    map: GoMap,
    { algorithm, burst, period }: Beyond,
    unit: Unit,
    unlimited: boolean,
  ): Pick<Limit, 'unit' | 'window' | 'algorithm' | 'requestsPerUnit' | 'burst'> {
    const requestsPerUnit = this.#count(fields.get('requests_per_unit'));
    if (!unlimited && requestsPerUnit > mostOf(algorithm))
      this.#errorAt(
        fields.get('requests_per_unit') ?? map,
        'RATELIMIT_SLUICE',
        `requests_per_unit is ${requestsPerUnit}; algorithm: ${algorithm} remembers each request, and takes ${mostOf(algorithm)} at most`,
      );
    return {
      unit: period === undefined ? unit : undefined,
      window: period ?? windowOf(unit, this.#options.calendarMonths),
      algorithm,
      requestsPerUnit,
      burst: burst ?? requestsPerUnit,
    };
  }

  /** Has a period alone. */
  #lease(fields: Fields, map: GoMap, isTop: boolean): Unit {
    if (isTop)
      this.#errorAt(
        map,
        'RATELIMIT_SLUICE',
        'algorithm: concurrency counts by the entries before the last one, which says who has a lease; put it below another descriptor',
      );
    if (fields.has('unit'))
      this.#errorAt(
        fields.get('unit') ?? map,
        'RATELIMIT_SLUICE',
        'algorithm: concurrency has no unit; sluice: { per: 30s } says how long a lease lasts at most',
      );
    return Unit.SECOND;
  }

  #unit(fields: Fields, map: GoMap, unlimited: boolean, hasPeriod: boolean): Unit {
    const node = fields.get('unit');
    const text = this.#text(node);
    const unit = unitOfName(text);
    if (unlimited && unit !== undefined)
      this.#errorAt(node ?? map, 'RATELIMIT_UNLIMITED', 'should not specify rate limit unit when unlimited');
    else if (unit !== undefined && hasPeriod)
      this.#errorAt(node ?? map, 'RATELIMIT_SLUICE', 'a limit has a unit, or sluice: { per: ... }, not both');
    else if (unit === undefined && unlimited) {
      if (text !== '')
        this.#add(
          'warning',
          node ?? map,
          'RATELIMIT_UNIT',
          `'${text}' is no unit; unlimited needs none, so take it away`,
        );
    } else if (unit === undefined && (text !== '' || !hasPeriod))
      this.#errorAt(
        node ?? map,
        'RATELIMIT_UNIT',
        `invalid rate limit unit '${text}'; write second, minute, hour, day, week, month or year`,
      );
    return unit ?? Unit.SECOND;
  }

  #warnOfNoAmount(fields: Fields, map: GoMap): void {
    const amount = fields.get('requests_per_unit');
    if (amount === undefined || isNull(amount))
      this.#add(
        'warning',
        map,
        'RATELIMIT_NO_AMOUNT',
        'requests_per_unit is left out, which is 0: every request is over this limit; write requests_per_unit: 10, or 0 where that is meant',
      );
  }

  #replaces(list: GoNode | undefined, own: string): readonly string[] {
    if (list === undefined || isNull(list)) return [];
    if (list.kind !== 'list') {
      this.#errorAt(list, 'RATELIMIT_VALUE_TYPE', 'replaces is a list: [{ name: OTHER }]');
      return [];
    }
    return mapsOf(list).map((item) => {
      const node = this.#fields(item, REPLACES_KEYS, 'an entry of replaces').get('name');
      const name = this.#text(node);
      if (name === '')
        this.#errorAt(
          node ?? item,
          'RATELIMIT_REPLACES',
          'should not have an empty replaces entry; write - name: OTHER',
        );
      else if (name === own)
        this.#errorAt(node ?? item, 'RATELIMIT_REPLACES', 'replaces should not contain name of same descriptor');
      return name;
    });
  }

  #metadata(node: GoNode | undefined): JsonObject | undefined {
    if (node === undefined || isNull(node)) return undefined;
    if (node.kind === 'map') {
      try {
        return metadataOf(node);
      } catch (error) {
        this.#errorAt(node, 'RATELIMIT_VALUE_TYPE', `error parsing metadata: ${messageOf(error)}`);
        return undefined;
      }
    }
    this.#errorAt(node, 'RATELIMIT_VALUE_TYPE', 'error parsing metadata: a map is expected');
    return undefined;
  }

  // ---------------------------------------------------------- fields

  /** Of a key that stands twice, the last; also where `<<` puts it in place of one above it. */
  #fields(map: GoMap, own: readonly string[], where: string): Fields {
    const fields = new Map<string, GoNode>();
    const written = new Set<string>();
    for (const entry of map.entries) {
      const { key, value, mergedAt } = entry;
      const name = (key as GoScalar).text;
      const known = fields.get(name);
      if (!own.includes(name))
        this.#add(
          'warning',
          key,
          'RATELIMIT_MISPLACED_KEY',
          `${name} means nothing in ${where}, and is ignored; it takes ${own.join(', ')}`,
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
    const how = ADDING_KEYS.includes(name)
      ? 'adds to the one above, and what both say is taken from here'
      : 'takes the place of the one above, which is ignored';
    this.#add(
      'warning',
      mergedAt ?? key,
      'RATELIMIT_REPEATED_KEY',
      mergedAt === undefined
        ? `${name} stands twice in one map; this one ${how}`
        : `<< brings another ${name}, which ${how}; put << first`,
    );
  }

  /** As it is written: `yes` stays `yes`, and `010` stays `010`. */
  #text(node: GoNode | undefined): string {
    if (node === undefined || isNull(node)) return '';
    if (node.kind === 'scalar') return node.text;
    this.#errorAt(node, 'RATELIMIT_VALUE_TYPE', 'error loading config file: text is expected here');
    return '';
  }

  #flag(node: GoNode | undefined): boolean {
    if (node === undefined || isNull(node)) return false;
    if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value;
    this.#errorAt(
      node,
      'RATELIMIT_VALUE_TYPE',
      `error loading config file: ${this.#textOf(node)} is not true or false (without quotes)`,
    );
    return false;
  }

  #count(node: GoNode | undefined): number {
    if (node === undefined || isNull(node)) return 0;
    if (node.kind === 'scalar' && typeof node.value === 'bigint' && node.value >= 0n && node.value <= MOST_UINT32)
      return Number(node.value);
    this.#errorAt(
      node,
      'RATELIMIT_VALUE_TYPE',
      `error loading config file: ${this.#textOf(node)} is not a whole number from 0 to ${MOST_UINT32} (without quotes)`,
    );
    return 0;
  }

  #textOf({ start, end }: Place): string {
    return this.#source.text.slice(start, end).trim();
  }

  #errorAt(place: Place, code: RatelimitErrorCode, message: string): void {
    this.#errors++;
    this.#add('error', place, code, message);
  }

  /** What an alias repeats is said once. */
  #add(severity: Severity, { start, end }: Place, code: RatelimitErrorCode, message: string): void {
    const said = `${start} ${code} ${message}`;
    if (this.#said.has(said)) return;
    this.#said.add(said);
    this.#findings.push({
      severity,
      code,
      message,
      position: this.#source.positionAt(start),
      excerpt: this.#source.excerpt(start, end),
    });
  }
}

const START: Place = { start: 0, end: 0 };
const isNull = (node: GoNode): boolean => node.kind === 'scalar' && node.value === null;
/** What else a list holds has been said. */
const mapsOf = ({ items }: GoList): readonly GoMap[] => items.filter((item) => item.kind === 'map');
