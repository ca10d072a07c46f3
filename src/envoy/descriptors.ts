/**
 * The descriptors of rate limit calls that rules, or files of `sluice ratelimit`, apply to.
 * **In**: a policy; the texts of such files. **Out**: lists of entries by domain. **Fails**: never; what cannot be derived is absent.
 */
import { parse } from 'yaml';
import type { Policy } from '../core/rules/policy.ts';
import type { Rule } from '../core/rules/rule.ts';
import { expressionsOf } from './rule-expressions.ts';

export interface DescriptorEntry {
  readonly key: string;
  /** The only value that a rule or a limit applies to; `undefined`: any. */
  readonly value: string | undefined;
}

export interface FixedLimit {
  readonly requests: number;
  readonly unit: 'Second' | 'Minute' | 'Hour' | 'Day';
}

export interface DescriptorNeed {
  /** `undefined`: the rule applies to every domain. */
  readonly domain: string | undefined;
  /** Empty: the rule applies to every descriptor. */
  readonly entries: readonly DescriptorEntry[];
  /** Names of rules, or `DOMAIN.KEY.KEY` of a limit in a file. */
  readonly rules: readonly string[];
  /** The last entry ends a lease: Envoy sends it when the stream is done. */
  readonly endsLease: boolean;
  /** These entries in this order, and no others; else a descriptor may have more. */
  readonly isExact: boolean;
  /** In Envoy Gateway's form, if it is a number per second, minute, hour or day. */
  readonly limit: FixedLimit | undefined;
  /** A rule reads the entries without naming their keys. */
  readonly hasUnknownKeys: boolean;
}

/** A rule that only adds headers to the answer of a limit needs no call of its own. */
export const asksLimits = (rule: Rule): boolean =>
  rule.calls.has('limit') &&
  rule.action?.kind !== 'enrich' &&
  (rule.action !== undefined ||
    expressionsOf(rule).some(({ reads }) => reads.some(({ name }) => name.startsWith('ratelimit.'))));

/** `ratelimit.entries.map(e, e.key) == ["user", "path"]`: exactly these, in this order. */
const EXACT_ENTRIES = /ratelimit\.entries\.map\(\s*(\w+)\s*,\s*\1\.key\s*\)\s*==\s*\[([^\]]*)\]/;

/** One for each domain that the rule names. */
export function descriptorsOfRule(rule: Rule, { attributes }: Policy): readonly DescriptorNeed[] {
  const slotOf = (name: string): number | undefined => attributes.slotOf(name);
  const fixed = fixedValues(rule, slotOf('ratelimit.domain'), slotOf('ratelimit.descriptor'));
  const expressions = expressionsOf(rule);
  const exact = EXACT_ENTRIES.exec(rule.match?.source ?? '')?.[2];
  const read = expressions.flatMap(({ reads }) =>
    reads.filter(({ name }) => name === 'ratelimit.descriptor').flatMap(({ keys }) => keys.map(({ key }) => key)),
  );
  const keys = exact === undefined ? read : [...exact.matchAll(/["']([^"']*)["']/g)].map(([, key = '']) => key);
  const entries = [...new Set([...keys, ...fixed.values.keys()])].map((key) => ({ key, value: fixed.values.get(key) }));
  const readsEntries = expressions.some(({ reads }) => reads.some(({ name }) => name === 'ratelimit.entries'));
  const domains = fixed.domains.length === 0 ? [undefined] : fixed.domains;
  return domains.map((domain) => ({
    domain,
    entries,
    rules: [rule.name],
    endsLease: false,
    isExact: exact !== undefined,
    limit: fixedLimit(rule),
    hasUnknownKeys: readsEntries && exact === undefined && entries.length === 0,
  }));
}

const UNITS: Readonly<Record<number, FixedLimit['unit']>> = {
  1000: 'Second',
  60_000: 'Minute',
  3_600_000: 'Hour',
  86_400_000: 'Day',
};

function fixedLimit({ action }: Rule): FixedLimit | undefined {
  if (action?.kind !== 'quota' || action.algorithm === 'concurrency') return undefined;
  const unit = UNITS[action.perMs];
  const requests = Number(action.limit.constant);
  return unit === undefined || !Number.isSafeInteger(requests) ? undefined : { requests, unit };
}

/** What the match compares with constants: the domains, and the keys with one value. */
function fixedValues(
  { match }: Rule,
  domainSlot: number | undefined,
  descriptorSlot: number | undefined,
): { readonly domains: readonly string[]; readonly values: ReadonlyMap<string, string> } {
  const domains: string[] = [];
  const values = new Map<string, string>();
  for (const guard of match?.guards ?? []) {
    const equal = guard.flatMap((atom) =>
      atom.kind === 'eq' && typeof atom.value === 'string' ? [{ place: atom.place, value: atom.value }] : [],
    );
    const [first] = equal;
    if (first === undefined || equal.length < guard.filter(({ kind }) => kind !== 'absent').length) continue;
    if (equal.some(({ place }) => place.slot !== first.place.slot || place.key !== first.place.key)) continue;
    if (first.place.slot === domainSlot) domains.push(...equal.map(({ value }) => value));
    if (first.place.slot === descriptorSlot && first.place.key !== undefined && equal.length === 1)
      values.set(first.place.key, first.value);
  }
  return { domains: [...new Set(domains)].toSorted(), values };
}

/** Rules that apply to the same descriptor are named together. */
export function merged(needs: readonly DescriptorNeed[]): readonly DescriptorNeed[] {
  const found = new Map<string, DescriptorNeed>();
  for (const need of needs) {
    const { domain, entries, endsLease, hasUnknownKeys } = need;
    const key = JSON.stringify([domain, entries, endsLease, hasUnknownKeys]);
    const known = found.get(key);
    found.set(key, known === undefined ? need : { ...known, rules: [...new Set([...known.rules, ...need.rules])] });
  }
  return [...found.values()];
}

const ENDS_LEASE = 'stream_done';

/** Of files that `sluice ratelimit` accepts; other values in them are ignored. */
export function descriptorsOfFiles(texts: readonly string[]): readonly DescriptorNeed[] {
  return merged(
    texts.flatMap((text) => {
      const file = record(parse(text));
      const domain = textOf(file['domain']);
      return domain === undefined ? [] : below(file['descriptors'], domain, []);
    }),
  );
}

function below(list: unknown, domain: string, above: readonly DescriptorEntry[]): DescriptorNeed[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((item: unknown) => {
    const { key: written, value: writtenValue, rate_limit: limit, descriptors } = record(item);
    const key = textOf(written);
    if (key === undefined) return [];
    const value = textOf(writtenValue);
    const entries = [
      ...above,
      { key, value: value === undefined || value === '' || value.includes('*') ? undefined : value },
    ];
    const found = below(descriptors, domain, entries);
    if (limit === undefined) return found;
    const rules = [
      [domain, ...entries.map((entry) => (entry.value === undefined ? entry.key : `${entry.key}_${entry.value}`))].join(
        '.',
      ),
    ];
    const need = {
      domain,
      entries,
      rules,
      endsLease: false,
      isExact: true,
      limit: limitOfFile(limit),
      hasUnknownKeys: false,
    };
    const { algorithm, ended_by: endedBy } = record(record(limit)['sluice']);
    const end = { key: textOf(endedBy) ?? ENDS_LEASE, value: 'yes' };
    return [
      need,
      ...(algorithm === 'concurrency' ? [{ ...need, entries: [...entries, end], endsLease: true }] : []),
      ...found,
    ];
  });
}

function limitOfFile(limit: unknown): FixedLimit | undefined {
  const { unit, requests_per_unit: requests } = record(limit);
  const known = Object.values(UNITS).find((one) => one.toLowerCase() === unit);
  return known === undefined || typeof requests !== 'number' ? undefined : { requests, unit: known };
}

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
