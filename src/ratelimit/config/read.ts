/**
 * Files of envoyproxy/ratelimit.
 * **In**: their texts. **Out**: for each domain the tree that descriptors are looked up in. **Fails**: with every finding at once, at its
 * place; the texts of the asserted ones are the reference's (src/config/config_impl.go), with what to do after them.
 */
import { isMap, isScalar, isSeq, LineCounter, type Node as YamlNode, type Pair, parseAllDocuments, Scalar, type YAMLMap } from 'yaml';
import { meant } from '../../attributes/nearest.ts';
import type { Finding, Severity } from '../../core/rules/policy.ts';
import { SourceText } from '../../core/rules/source-text.ts';
import { type Json, type JsonObject, secondsOf, Unit, unitOfName } from '../call.ts';
import type { RatelimitErrorCode } from '../errors.ts';
import { type Beyond, type FieldReader, type Fields, mostOf, readBeyond, SLUICE_KEYS } from './beyond.ts';
import type { Limit, Node } from './tree.ts';
import { patternOf } from './wildcard.ts';
import { spanWindow } from './window.ts';

export interface ConfigFile { readonly file: string; readonly text: string }

export interface ReadOptions {
  /** Files may add to one domain (MERGE_DOMAIN_CONFIG). */
  readonly mergeDomains: boolean;
  /** Every limit is a quota (QUOTA_MODE). */
  readonly quotaMode: boolean;
}

export interface ReadConfig { readonly domains: ReadonlyMap<string, Node>; readonly findings: readonly Finding[] }

const ROOT_KEYS = ['domain', 'descriptors'];
const DESCRIPTOR_KEYS = ['key', 'value', 'descriptors', 'rate_limit', 'shadow_mode', 'quota_mode', 'detailed_metric', 'value_to_metric', 'share_threshold', 'metadata'];
const LIMIT_KEYS = ['unit', 'requests_per_unit', 'unlimited', 'name', 'replaces', 'sluice'];
const REPLACES_KEYS = ['name'];
const ALSO_KEYS = ['unit', 'requests_per_unit', 'sluice'];
/** One flat set, as the reference has it: known is what is known anywhere. */
const KNOWN_KEYS = [...new Set([...ROOT_KEYS, ...DESCRIPTOR_KEYS, ...LIMIT_KEYS, ...SLUICE_KEYS])];

const MOST_UINT32 = 0xffff_ffff;

export function readConfigs(files: readonly ConfigFile[], options: ReadOptions): ReadConfig {
  const domains = new Map<string, Node>();
  const findings: Finding[] = [];
  for (const { file, text } of files) new FileReader(new SourceText(file, text), options, domains, findings).read();
  return { domains, findings };
}

export const newNode = (text: string, rest: Partial<Omit<Node, 'text'>> = {}): Node => ({
  text, limit: undefined, children: new Map(), patterns: [], pattern: undefined, isDetailed: false, hasValueInMetric: false, isShared: false, ...rest,
});

class FileReader {
  readonly #source: SourceText;
  readonly #options: ReadOptions;
  readonly #domains: Map<string, Node>;
  readonly #findings: Finding[];
  readonly #reader: FieldReader = {
    fields: (map, own, where) => this.#fields(map, own, where), text: (node) => this.#text(node), errorAt: (node, code, message) => this.#errorAt(node, code, message),
  };

  constructor(source: SourceText, options: ReadOptions, domains: Map<string, Node>, findings: Finding[]) {
    this.#source = source;
    this.#options = options;
    this.#domains = domains;
    this.#findings = findings;
  }

  read(): void {
    // YAML 1.1, of several documents the first, of a key that stands twice the last: as yaml.v2 reads it.
    const [document] = parseAllDocuments(this.#source.text, { version: '1.1', uniqueKeys: false, lineCounter: new LineCounter(), merge: true, prettyErrors: false });
    const problem = document?.errors[0];
    if (problem !== undefined) return this.#error('RATELIMIT_YAML', problem.pos[0], problem.pos[1], `error loading config file: yaml: ${problem.message}`);
    const root = document?.contents ?? null;
    if (root !== null && !isMap(root)) return this.#errorAt(root, 'RATELIMIT_VALUE_TYPE', 'error loading config file: a map with domain and descriptors is expected');
    if (root === null) return this.#error('RATELIMIT_EMPTY_DOMAIN', 0, 0, 'config file cannot have empty domain; write domain: NAME');
    const before = this.#findings.length;
    this.#checkKeys(root);
    if (this.#findings.length > before) return;
    this.#domain(root);
  }

  // ---------------------------------------------------------- keys and types, everywhere

  #checkKeys(map: YAMLMap): void {
    for (const { key, value } of map.items as Pair<YamlNode, YamlNode | null>[]) {
      const name = isScalar(key) ? key.value : undefined;
      if (typeof name !== 'string') {
        this.#errorAt(key, 'RATELIMIT_KEY_TYPE', `config error, key is not of type string: ${this.#textOf(key)}; quote it`);
      } else if (!KNOWN_KEYS.includes(name)) {
        this.#errorAt(key, 'RATELIMIT_UNKNOWN_KEY', `config error, unknown key '${name}'${meant(name, KNOWN_KEYS)}`);
      } else if (name !== 'metadata') this.#checkValue(value);
    }
  }

  #checkValue(value: YamlNode | null): void {
    if (isMap(value)) return this.#checkKeys(value);
    if (isSeq(value)) {
      for (const item of value.items as YamlNode[]) {
        if (isMap(item)) this.#checkKeys(item);
        else this.#errorAt(item, 'RATELIMIT_KEY_TYPE', `config error, yaml file contains list of type other than map: ${this.#textOf(item)}`);
      }
      return;
    }
    if (isScalar(value) && typeof value.value === 'number' && !Number.isInteger(value.value)) {
      this.#errorAt(value, 'RATELIMIT_VALUE_TYPE', `error checking config: ${this.#textOf(value)} is a number with a point; quote it where it is text`);
    }
  }

  // ---------------------------------------------------------- what they mean

  #domain(root: YAMLMap): void {
    const fields = this.#fields(root, ROOT_KEYS, 'a file');
    const name = this.#text(fields.get('domain'));
    if (name === '') return this.#errorAt(fields.get('domain') ?? root, 'RATELIMIT_EMPTY_DOMAIN', 'config file cannot have empty domain; write domain: NAME');
    const known = this.#domains.get(name);
    if (known !== undefined && !this.#options.mergeDomains) {
      return this.#errorAt(fields.get('domain') ?? root, 'RATELIMIT_DUPLICATE_DOMAIN', `duplicate domain '${name}' in config file; put both in one file, or set MERGE_DOMAIN_CONFIG=true`);
    }
    const node = known ?? newNode(name);
    this.#domains.set(name, node);
    this.#descriptors(fields.get('descriptors') ?? null, node, `${name}.`);
  }

  #descriptors(list: YamlNode | null, parent: Node, parentKey: string): void {
    if (list === null || (isScalar(list) && list.value === null)) return;
    if (!isSeq(list)) return this.#errorAt(list, 'RATELIMIT_VALUE_TYPE', 'descriptors is a list: - key: NAME');
    for (const item of list.items) if (isMap(item)) this.#descriptor(item, parent, parentKey);
  }

  #descriptor(map: YAMLMap, parent: Node, parentKey: string): void {
    const fields = this.#fields(map, DESCRIPTOR_KEYS, 'a descriptor');
    const key = this.#text(fields.get('key'));
    if (key === '') return this.#errorAt(fields.get('key') ?? map, 'RATELIMIT_EMPTY_KEY', 'descriptor has empty key; write key: NAME');
    const value = this.#text(fields.get('value'));
    const text = value === '' ? key : `${key}_${value}`;
    const fullKey = `${parentKey}${text}`;
    const known = parent.children.get(text);
    if (known !== undefined) {
      return this.#errorAt(fields.get('value') ?? fields.get('key') ?? map, 'RATELIMIT_DUPLICATE_KEY', known.limit?.endsLease === true
        ? `'${fullKey}' ends the leases of the limit above it; name another entry that does by sluice: { ended_by: KEY }` : `duplicate descriptor composite key '${fullKey}'; keep one of the two`);
    }
    const isShared = this.#flag(fields.get('share_threshold'));
    if (isShared && !value.includes('*')) {
      this.#errorAt(fields.get('share_threshold') ?? map, 'RATELIMIT_SHARE_THRESHOLD', `share_threshold can only be used with wildcard values (containing '*'), but found key '${fullKey}'`);
    }
    const isTop = this.#domains.get(parent.text) === parent;
    const { limit, endedBy } = this.#limit(fields, fullKey, isTop);
    const pattern = text.includes('*') ? patternOf(text) : undefined;
    const node = newNode(text, { limit, pattern, isShared, isDetailed: this.#flag(fields.get('detailed_metric')), hasValueInMetric: this.#flag(fields.get('value_to_metric')) });
    parent.children.set(text, node);
    if (pattern !== undefined) parent.patterns.push(node);
    if (limit?.algorithm === 'concurrency') node.children.set(endedBy, newNode(endedBy, { limit: { ...limit, endsLease: true } }));
    this.#descriptors(fields.get('descriptors') ?? null, node, `${fullKey}.`);
  }

  #limit(descriptor: Fields, fullKey: string, isTop: boolean): { readonly limit: Limit | undefined; readonly endedBy: string } {
    const map = descriptor.get('rate_limit') ?? null;
    const [shadow, quota] = [this.#flag(descriptor.get('shadow_mode')), this.#flag(descriptor.get('quota_mode'))];
    const metadata = this.#metadata(descriptor.get('metadata') ?? null);
    const nothing = { limit: undefined, endedBy: '' };
    if (map === null || (isScalar(map) && map.value === null)) return nothing;
    if (!isMap(map)) {
      this.#errorAt(map, 'RATELIMIT_VALUE_TYPE', 'rate_limit is a map: { unit: minute, requests_per_unit: 10 }');
      return nothing;
    }
    const fields = this.#fields(map, LIMIT_KEYS, 'rate_limit');
    const unlimited = this.#flag(fields.get('unlimited'));
    const beyond = readBeyond(fields.get('sluice') ?? null, this.#reader);
    const { algorithm, outage, endedBy, also } = beyond;
    const unit = algorithm === 'concurrency' ? this.#lease(fields, map, isTop) : this.#unit(fields, map, unlimited, beyond.hasPeriod);
    const name = this.#text(fields.get('name'));
    const limit: Limit = {
      fullKey, name, unlimited, ...this.#amount(fields, map, beyond, unit, unlimited), endsLease: false,
      replaces: this.#replaces(fields.get('replaces') ?? null, name), also: [],
      outage, shadow, quota: quota || this.#options.quotaMode, metadata, position: this.#source.positionAt(map.range?.[0] ?? 0),
    };
    return { endedBy, limit: also === undefined ? limit : { ...limit, also: this.#also(also, limit) } };
  }

  /** `sluice: { also: [{ unit: hour, requests_per_unit: 100 }] }`: further limits of the same descriptor. */
  #also(list: YamlNode, main: Limit): readonly Limit[] {
    if (!isSeq(list)) {
      this.#errorAt(list, 'RATELIMIT_SLUICE', 'also is a list of further limits: [{ unit: hour, requests_per_unit: 100 }]');
      return [];
    }
    if (main.unlimited || main.algorithm === 'concurrency') this.#errorAt(list, 'RATELIMIT_SLUICE', `also does not go with ${main.unlimited ? 'unlimited' : 'algorithm: concurrency'}`);
    const periodsS = new Set([main.window.lengthS]);
    return list.items.flatMap((item): Limit[] => {
      if (!isMap(item)) return []; // said of any list
      const fields = this.#fields(item, ALSO_KEYS, 'an entry of also');
      const beyond = readBeyond(fields.get('sluice') ?? null, this.#reader);
      const { algorithm, outage, also } = beyond;
      if (algorithm === 'concurrency' || also !== undefined) this.#errorAt(item, 'RATELIMIT_SLUICE', `a further limit has no ${also === undefined ? 'algorithm: concurrency' : 'also of its own'}`);
      const amount = this.#amount(fields, item, beyond, this.#unit(fields, item, false, beyond.hasPeriod), false);
      const { lengthS } = amount.window;
      if (periodsS.has(lengthS)) this.#errorAt(item, 'RATELIMIT_SLUICE', 'the limits of a descriptor differ in their periods, and this one has the period of another');
      periodsS.add(lengthS);
      return [{ ...main, name: '', replaces: [], ...amount, outage: outage ?? main.outage, position: this.#source.positionAt(item.range?.[0] ?? 0) }];
    });
  }

  /** How much of what, in which time. */
  #amount(fields: Fields, map: YAMLMap, { algorithm, burst, period }: Beyond, unit: Unit, unlimited: boolean): Pick<Limit, 'unit' | 'window' | 'algorithm' | 'requestsPerUnit' | 'burst'> {
    const requestsPerUnit = this.#count(fields.get('requests_per_unit'));
    if (!unlimited && requestsPerUnit > mostOf(algorithm)) this.#errorAt(fields.get('requests_per_unit') ?? map, 'RATELIMIT_SLUICE', `requests_per_unit is ${requestsPerUnit}; algorithm: ${algorithm} remembers each request, and takes ${mostOf(algorithm)} at most`);
    return { unit: period === undefined ? unit : undefined, window: period ?? spanWindow(secondsOf(unit)), algorithm, requestsPerUnit, burst: burst ?? requestsPerUnit };
  }

  /** Has a period alone. */
  #lease(fields: Fields, map: YAMLMap, isTop: boolean): Unit {
    if (isTop) this.#errorAt(map, 'RATELIMIT_SLUICE', 'algorithm: concurrency counts by the entries before the last one, which says who has a lease; put it below another descriptor');
    if (fields.has('unit')) this.#errorAt(fields.get('unit') ?? map, 'RATELIMIT_SLUICE', 'algorithm: concurrency has no unit; sluice: { per: 30s } says how long a lease lasts at most');
    return Unit.SECOND;
  }

  #unit(fields: Fields, map: YAMLMap, unlimited: boolean, hasPeriod: boolean): Unit {
    const node = fields.get('unit');
    const text = this.#text(node);
    const unit = unitOfName(text);
    if (unlimited && unit !== undefined) this.#errorAt(node ?? map, 'RATELIMIT_UNLIMITED', 'should not specify rate limit unit when unlimited');
    else if (unit !== undefined && hasPeriod) this.#errorAt(node ?? map, 'RATELIMIT_SLUICE', 'a limit has a unit, or sluice: { per: ... }, not both');
    else if (unit === undefined && (text !== '' || !(unlimited || hasPeriod))) this.#errorAt(node ?? map, 'RATELIMIT_UNIT', `invalid rate limit unit '${text}'; write second, minute, hour, day, week, month or year`);
    return unit ?? Unit.SECOND;
  }

  #replaces(list: YamlNode | null, own: string): readonly string[] {
    if (list === null || (isScalar(list) && list.value === null)) return [];
    if (!isSeq(list)) {
      this.#errorAt(list, 'RATELIMIT_VALUE_TYPE', 'replaces is a list: [{ name: OTHER }]');
      return [];
    }
    return list.items.filter((item) => isMap(item)).map((item) => {
      const node = this.#fields(item, REPLACES_KEYS, 'an entry of replaces').get('name');
      const name = this.#text(node);
      if (name === '') this.#errorAt(node ?? item, 'RATELIMIT_REPLACES', 'should not have an empty replaces entry; write - name: OTHER');
      else if (name === own) this.#errorAt(node ?? item, 'RATELIMIT_REPLACES', 'replaces should not contain name of same descriptor');
      return name;
    });
  }

  #metadata(node: YamlNode | null): JsonObject | undefined {
    if (node === null || (isScalar(node) && node.value === null)) return undefined;
    const value = jsonOf(node);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
    this.#errorAt(node, 'RATELIMIT_VALUE_TYPE', 'error parsing metadata: a map is expected');
    return undefined;
  }

  // ---------------------------------------------------------- fields

  /** Of a key that stands twice, the last. */
  #fields(map: YAMLMap, own: readonly string[], where: string): Fields {
    const fields = new Map<string, YamlNode | null>();
    for (const { key, value } of map.items as Pair<Scalar<string>, YamlNode | null>[]) {
      if (!own.includes(key.value)) this.#add('warning', key, 'RATELIMIT_MISPLACED_KEY', `${key.value} means nothing in ${where}, and is ignored; it takes ${own.join(', ')}`);
      fields.set(key.value, value);
    }
    return fields;
  }

  /** As it is written: `yes` stays `yes`, and `010` stays `010`. */
  #text(node: YamlNode | null | undefined): string {
    if (node === null || node === undefined || (isScalar(node) && node.value === null)) return '';
    if (isScalar(node)) return typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
    this.#errorAt(node, 'RATELIMIT_VALUE_TYPE', 'error loading config file: text is expected here');
    return '';
  }

  #flag(node: YamlNode | null | undefined): boolean {
    if (node === null || node === undefined || (isScalar(node) && node.value === null)) return false;
    if (isScalar(node) && typeof node.value === 'boolean') return node.value;
    this.#errorAt(node, 'RATELIMIT_VALUE_TYPE', `error loading config file: ${this.#textOf(node)} is not true or false (without quotes)`);
    return false;
  }

  #count(node: YamlNode | null | undefined): number {
    if (node === null || node === undefined || (isScalar(node) && node.value === null)) return 0;
    if (isScalar(node) && typeof node.value === 'number' && node.value >= 0 && node.value <= MOST_UINT32) return node.value;
    this.#errorAt(node, 'RATELIMIT_VALUE_TYPE', `error loading config file: ${this.#textOf(node)} is not a whole number from 0 to ${MOST_UINT32} (without quotes)`);
    return 0;
  }

  #textOf(node: YamlNode): string {
    return this.#source.text.slice(node.range?.[0] ?? 0, node.range?.[1] ?? 0).trim();
  }

  #errorAt(node: YamlNode, code: RatelimitErrorCode, message: string): void {
    this.#add('error', node, code, message);
  }

  #error(code: RatelimitErrorCode, start: number, end: number, message: string): void {
    this.#findings.push({ severity: 'error', code, message, position: this.#source.positionAt(start), excerpt: this.#source.excerpt(start, end) });
  }

  #add(severity: Severity, node: YamlNode, code: RatelimitErrorCode, message: string): void {
    const [start, end] = node.range ?? [0, 0];
    this.#findings.push({ severity, code, message, position: this.#source.positionAt(start), excerpt: this.#source.excerpt(start, end) });
  }
}

/** Keys of any type become text, as the reference makes them. */
function jsonOf(node: YamlNode | null): Json {
  if (isMap(node)) return Object.fromEntries((node.items as Pair<YamlNode, YamlNode | null>[]).map(({ key, value }) => [isScalar(key) ? String(key.value) : '', jsonOf(value)]));
  if (isSeq(node)) return (node.items as (YamlNode | null)[]).map(jsonOf);
  const value = isScalar(node) ? node.value : null;
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
}
