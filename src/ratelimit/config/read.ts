/**
 * Files of envoyproxy/ratelimit.
 * **In**: their texts. **Out**: for each domain the tree that descriptors are looked up in. **Fails**: with every finding at once, at its
 * place; the texts of the asserted ones are the reference's (src/config/config_impl.go), with what to do after them.
 */
import { isMap, isScalar, isSeq, LineCounter, type Node as YamlNode, type Pair, parseAllDocuments, Scalar, type YAMLMap } from 'yaml';
import { meant } from '../../attributes/nearest.ts';
import type { Finding, Severity } from '../../core/rules/policy.ts';
import { CALENDAR, calendarOf, isZone } from '../../core/rules/calendar.ts';
import { SourceText } from '../../core/rules/source-text.ts';
import { type Json, type JsonObject, secondsOf, Unit, unitOfName } from '../call.ts';
import type { RatelimitErrorCode } from '../errors.ts';
import { type Limit, type Node, OUTAGES, type Outage } from './tree.ts';
import { patternOf } from './wildcard.ts';
import { spanWindow, type Window } from './window.ts';

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
/** What the reference does not have stands under one key of its own, and means nothing elsewhere. */
const SLUICE_KEYS = ['outage', 'algorithm', 'per', 'zone'];
const ALGORITHMS = ['fixed', 'sliding'];
/** One flat set, as the reference has it: known is what is known anywhere. */
const KNOWN_KEYS = [...new Set([...ROOT_KEYS, ...DESCRIPTOR_KEYS, ...LIMIT_KEYS, ...SLUICE_KEYS])];

const SPAN_S: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

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

type Fields = ReadonlyMap<string, YamlNode | null>;

class FileReader {
  readonly #source: SourceText;
  readonly #options: ReadOptions;
  readonly #domains: Map<string, Node>;
  readonly #findings: Finding[];

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
    if (parent.children.has(text)) return this.#errorAt(fields.get('value') ?? fields.get('key') ?? map, 'RATELIMIT_DUPLICATE_KEY', `duplicate descriptor composite key '${fullKey}'; keep one of the two`);
    const isShared = this.#flag(fields.get('share_threshold'));
    if (isShared && !value.includes('*')) {
      this.#errorAt(fields.get('share_threshold') ?? map, 'RATELIMIT_SHARE_THRESHOLD', `share_threshold can only be used with wildcard values (containing '*'), but found key '${fullKey}'`);
    }
    const limit = this.#limit(fields, fullKey);
    const pattern = text.includes('*') ? patternOf(text) : undefined;
    const node = newNode(text, { limit, pattern, isShared, isDetailed: this.#flag(fields.get('detailed_metric')), hasValueInMetric: this.#flag(fields.get('value_to_metric')) });
    parent.children.set(text, node);
    if (pattern !== undefined) parent.patterns.push(node);
    this.#descriptors(fields.get('descriptors') ?? null, node, `${fullKey}.`);
  }

  #limit(descriptor: Fields, fullKey: string): Limit | undefined {
    const map = descriptor.get('rate_limit') ?? null;
    const [shadow, quota] = [this.#flag(descriptor.get('shadow_mode')), this.#flag(descriptor.get('quota_mode'))];
    const metadata = this.#metadata(descriptor.get('metadata') ?? null);
    if (map === null || (isScalar(map) && map.value === null)) return undefined;
    if (!isMap(map)) {
      this.#errorAt(map, 'RATELIMIT_VALUE_TYPE', 'rate_limit is a map: { unit: minute, requests_per_unit: 10 }');
      return undefined;
    }
    const fields = this.#fields(map, LIMIT_KEYS, 'rate_limit');
    const unlimited = this.#flag(fields.get('unlimited'));
    const beyond = this.#beyond(fields.get('sluice') ?? null);
    const unit = this.#unit(fields, map, unlimited, beyond.period !== undefined);
    const name = this.#text(fields.get('name'));
    return {
      fullKey, name, unlimited, unit: beyond.period === undefined ? unit : undefined, window: beyond.period ?? spanWindow(secondsOf(unit)), isSliding: beyond.isSliding, requestsPerUnit: this.#count(fields.get('requests_per_unit')),
      replaces: this.#replaces(fields.get('replaces') ?? null, name),
      outage: beyond.outage, shadow, quota: quota || this.#options.quotaMode, metadata, position: this.#source.positionAt(map.range?.[0] ?? 0),
    };
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

  /** What the reference does not have. */
  #beyond(map: YamlNode | null): { readonly outage: Outage | undefined; readonly isSliding: boolean; readonly period: Window | undefined } {
    const nothing = { outage: undefined, isSliding: false, period: undefined };
    if (map === null) return nothing;
    if (!isMap(map)) {
      this.#errorAt(map, 'RATELIMIT_SLUICE', `sluice is a map of ${SLUICE_KEYS.join(', ')}`);
      return nothing;
    }
    const fields = this.#fields(map, SLUICE_KEYS, 'sluice');
    const word = <T extends string>(key: string, words: readonly T[]): T | undefined => {
      const node = fields.get(key);
      const text = this.#text(node);
      const known = words.find((one) => one === text);
      if (known === undefined && node !== undefined) this.#errorAt(node ?? map, 'RATELIMIT_SLUICE', `${key} is '${text}'; write ${words.join(', ')}`);
      return known;
    };
    return { outage: word('outage', OUTAGES), isSliding: word('algorithm', ALGORITHMS) === 'sliding', period: this.#period(fields, map) };
  }

  /** `per: 15m`, or `per: month` of a calendar. */
  #period(fields: Fields, map: YAMLMap): Window | undefined {
    const [per, zone] = [fields.get('per'), fields.get('zone')];
    if (per === undefined) {
      if (zone !== undefined) this.#errorAt(zone ?? map, 'RATELIMIT_SLUICE', 'zone goes with per: day, week, month or year');
      return undefined;
    }
    const text = this.#text(per);
    const calendar = CALENDAR.find((word) => word === text);
    if (calendar !== undefined) {
      const name = zone === undefined ? 'UTC' : this.#text(zone);
      if (isZone(name)) return calendarOf(calendar, name);
      this.#errorAt(zone ?? map, 'RATELIMIT_SLUICE', `zone is '${name}', which is no time zone; write one such as Europe/Amsterdam`);
      return undefined;
    }
    if (zone !== undefined) this.#errorAt(zone ?? map, 'RATELIMIT_SLUICE', 'zone goes with per: day, week, month or year');
    const [, amount = '', unit = ''] = /^([1-9]\d{0,8})(s|m|h|d)$/.exec(text) ?? [];
    if (amount !== '') return spanWindow(Number(amount) * (SPAN_S[unit] ?? 1));
    this.#errorAt(per ?? map, 'RATELIMIT_SLUICE', `per is '${text}'; write a span such as 15m or 2h, or ${CALENDAR.join(', ')}`);
    return undefined;
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
