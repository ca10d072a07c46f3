/**
 * Rate limit actions of a route.
 * **In**: the descriptors that rules apply to. **Out**: a list of `rate_limits` by the domain's stage. **Fails**: never.
 */
import { noted } from './commented-yaml.ts';
import type { DescriptorEntry, DescriptorNeed } from './descriptors.ts';
import { rulesText, unknown } from './options.ts';

/** A rate limit filter has one domain, and Envoy has stages 0 to 10. */
const MAX_DOMAINS = 11;

/** Domains in a fixed order; rules that name none apply to the first. */
export function domainsOf(descriptors: readonly DescriptorNeed[]): readonly (string | undefined)[] {
  const named = [...new Set(descriptors.flatMap(({ domain }) => (domain === undefined ? [] : [domain])))].toSorted();
  return named.length === 0 ? [undefined] : named.slice(0, MAX_DOMAINS);
}

export function omittedDomains(descriptors: readonly DescriptorNeed[]): readonly string[] {
  const shown = new Set(domainsOf(descriptors));
  return [
    ...new Set(descriptors.flatMap(({ domain }) => (domain === undefined || shown.has(domain) ? [] : [domain]))),
  ].toSorted();
}

/** The stage of a domain is its place in `domains`. */
export function rateLimits(
  descriptors: readonly DescriptorNeed[],
  domains: readonly (string | undefined)[],
): readonly unknown[] | undefined {
  const lists = domains.flatMap((domain, stage) => {
    const own = descriptors.filter((one) => one.domain === domain || (one.domain === undefined && stage === 0));
    return own.map((one) => rateLimit(one, stage));
  });
  return lists.length === 0 ? undefined : lists;
}

function rateLimit({ entries, rules, endsLease, hasUnknownKeys, domain }: DescriptorNeed, stage: number): unknown {
  const actions =
    entries.length === 0
      ? [
          noted(
            { generic_key: { descriptor_value: 'all' } },
            unknown(
              hasUnknownKeys
                ? 'which entries the rule expects; it reads them all.'
                : 'which entries to send; the rule takes any. Without one, Envoy makes no call.',
            ),
          ),
        ]
      : entries.map(({ key, value }, at) =>
          endsLease && at === entries.length - 1 ? fixed(key, value ?? 'yes') : action({ key, value }),
        );
  return noted(
    { stage: stage === 0 ? undefined : stage, actions, apply_on_stream_done: endsLease ? true : undefined },
    endsLease
      ? `ends the lease of ${rules.join(', ')}`
      : domain === undefined
        ? `${rulesText(rules)} (any domain)`
        : rules[0]?.startsWith(`${domain}.`) === true
          ? rules.join(', ')
          : rulesText(rules),
  );
}

const fixed = (key: string, value: string): object => ({
  generic_key: { descriptor_key: key, descriptor_value: value },
});

/** Keys of descriptors that Envoy has an action, or a pseudo header, of its own for. */
const KNOWN: Readonly<Record<string, object>> = {
  remote_address: { remote_address: {} },
  masked_remote_address: { masked_remote_address: { v4_prefix_mask_len: 24, v6_prefix_mask_len: 64 } },
  source_cluster: { source_cluster: {} },
  destination_cluster: { destination_cluster: {} },
  path: { request_headers: { header_name: ':path', descriptor_key: 'path' } },
  method: { request_headers: { header_name: ':method', descriptor_key: 'method' } },
  host: { request_headers: { header_name: ':authority', descriptor_key: 'host' } },
  authority: { request_headers: { header_name: ':authority', descriptor_key: 'authority' } },
};

function action({ key, value }: DescriptorEntry): unknown {
  const known = KNOWN[key];
  if (known !== undefined) return known;
  if (key === 'generic_key')
    return value === undefined
      ? noted({ generic_key: { descriptor_value: 'all' } }, unknown('the value of this entry.'))
      : { generic_key: { descriptor_value: value } };
  if (value !== undefined)
    return noted(
      fixed(key, value),
      unknown(`which requests have ${key} ${JSON.stringify(value)}; as written, all of this route.`),
    );
  const header = key.toLowerCase().startsWith('x-')
    ? key.toLowerCase()
    : `x-${key.toLowerCase().replaceAll(/[^a-z0-9-]+/g, '-')}`;
  return noted(
    { request_headers: { header_name: header, descriptor_key: key } },
    unknown(
      `where ${key} comes from; as written, the header ${header}. A request without it is not limited by this list.`,
    ),
  );
}
