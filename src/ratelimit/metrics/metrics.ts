/** Counters of the rate-limit server, named as in envoyproxy/ratelimit (src/stats/manager_impl.go). */
import { hash } from 'node:crypto';
import { Latency } from '../../core/metrics/meters.ts';

const RULE_COUNTERS = [
  'total_hits',
  'over_limit',
  'near_limit',
  'over_limit_with_local_cache',
  'within_limit',
  'shadow_mode',
] as const;
export type RuleCounter = (typeof RULE_COUNTERS)[number];
export type RuleMetrics = Record<RuleCounter, number>;
export const noHits = (): RuleMetrics => zeros(RULE_COUNTERS);

const SERVICE_COUNTERS = {
  redisError: 'ratelimit.service.call.should_rate_limit.redis_error',
  serviceError: 'ratelimit.service.call.should_rate_limit.service_error',
  configLoadSuccess: 'ratelimit.service.config_load_success',
  configLoadError: 'ratelimit.service.config_load_error',
  globalShadowMode: 'ratelimit.service.global_shadow_mode',
  totalRequests: 'ratelimit_server.ShouldRateLimit.total_requests',
} as const;
export type ServiceCounter = keyof typeof SERVICE_COUNTERS;

/** A delta of all counters, as one thread sends it to another. */
export interface Counts extends Readonly<Pick<RatelimitMetrics, 'service' | 'outages'>> {
  readonly responseTimes: Pick<Latency, 'count' | 'sumMs' | 'buckets'>;
  /** By name, without rules whose counters are all 0. */
  readonly rules: readonly (readonly [name: string, metrics: RuleMetrics])[];
  readonly unknownDomains: readonly (readonly [domain: string, count: number])[];
}

/** Names come from callers' values; above this number, all further ones are counted as one. */
const MAX_RULES = 10_000;
const OTHER = 'other';
/** Longest name, in characters; a longer one is cut and hashed, since pages hold every name. */
const MAX_NAME = 256;
const KEPT_OF_NAME = 200;

/** Prometheus' default buckets, as in the reference's mapper. */
const RESPONSE_BOUNDS_MS = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

export class RatelimitMetrics {
  readonly service: Record<ServiceCounter, number> = zeros(Object.keys(SERVICE_COUNTERS) as ServiceCounter[]);
  responseTimes: Latency = new Latency(RESPONSE_BOUNDS_MS);
  /** By the requested name, and by the sanitized name under which they are exported. */
  readonly #rules = new Map<string, RuleMetrics>();
  readonly #named = new Map<string, RuleMetrics>();
  readonly #unknownDomains = new Map<string, number>();
  /** Descriptors answered by an outage policy while the store was unavailable. */
  readonly outages: Record<'open' | 'closed' | 'local', number> = { open: 0, closed: 0, local: 0 };
  /** By full name. */
  readonly gauges: Map<string, () => number> = new Map();

  /** By `domain.key_value`. */
  rule(whole: string): RuleMetrics {
    const key = whole.length > MAX_NAME ? shortened(whole) : whole;
    const known = this.#rules.get(key);
    if (known !== undefined) return known;
    if (this.#rules.size >= MAX_RULES) return this.#namedAs(sanitized(otherOf(key)));
    const metrics = this.#namedAs(sanitized(key));
    this.#rules.set(key, metrics);
    return metrics;
  }

  unknownDomain(domain: string): void {
    this.#addUnknown(sanitized(domain.length > MAX_NAME ? shortened(domain) : domain), 1);
  }

  answered(ms: number): void {
    this.service.totalRequests++;
    this.responseTimes.add(ms);
  }

  /** Returns all counts and resets them; another thread adds them to its own. */
  take(): Counts {
    const counts = {
      service: { ...this.service },
      outages: { ...this.outages },
      responseTimes: this.responseTimes,
      rules: [...this.#named]
        .filter(([, metrics]) => RULE_COUNTERS.some((counter) => metrics[counter] > 0))
        .map(([name, metrics]) => [name, { ...metrics }] as const),
      unknownDomains: [...this.#unknownDomains],
    };
    for (const record of [this.service, this.outages, ...this.#named.values()]) empty(record);
    this.responseTimes = new Latency(RESPONSE_BOUNDS_MS);
    this.#unknownDomains.clear();
    return counts;
  }

  add({ service, outages, responseTimes, rules, unknownDomains }: Counts): void {
    addTo(this.service, service);
    addTo(this.outages, outages);
    this.responseTimes.merge(responseTimes);
    for (const [name, metrics] of rules)
      addTo(this.#namedAs(this.#named.has(name) || this.#named.size < MAX_RULES ? name : otherOf(name)), metrics);
    for (const [domain, count] of unknownDomains) this.#addUnknown(domain, count);
  }

  /** Every counter by its full name. */
  *counters(): Generator<readonly [name: string, value: number]> {
    for (const [counter, name] of Object.entries(SERVICE_COUNTERS))
      yield [name, this.service[counter as ServiceCounter]];
    for (const [policy, count] of Object.entries(this.outages)) yield [`ratelimit.service.outage.${policy}`, count];
    for (const [name, metrics] of this.#named)
      for (const counter of RULE_COUNTERS) yield [`ratelimit.service.rate_limit.${name}.${counter}`, metrics[counter]];
    for (const [domain, count] of this.#unknownDomains)
      yield [`ratelimit.service.rate_limit.${domain}.domain_not_found`, count];
  }

  #namedAs(name: string): RuleMetrics {
    let metrics = this.#named.get(name);
    if (metrics === undefined) this.#named.set(name, (metrics = noHits()));
    return metrics;
  }

  #addUnknown(domain: string, count: number): void {
    const name = this.#unknownDomains.has(domain) || this.#unknownDomains.size < MAX_RULES ? domain : OTHER;
    this.#unknownDomains.set(name, (this.#unknownDomains.get(name) ?? 0) + count);
  }
}

/** The beginning of the name, and a hash that keeps names with the same beginning apart. */
const shortened = (name: string): string => `${name.slice(0, KEPT_OF_NAME).toWellFormed()}_${hash('sha1', name)}`;

const otherOf = (key: string): string => `${key.slice(0, key.indexOf('.'))}.${OTHER}`;

const zeros = <K extends string>(names: readonly K[]): Record<K, number> =>
  Object.fromEntries(names.map((name) => [name, 0])) as Record<K, number>;

function empty(record: Record<string, number>): void {
  for (const name of Object.keys(record)) record[name] = 0;
}

function addTo<K extends string>(record: Record<K, number>, more: Readonly<Record<K, number>>): void {
  for (const name of Object.keys(record) as K[]) record[name] += more[name];
}

/** Replaces statsd's separators, and the dots of IPv4 addresses, which separate no levels (src/utils/utilities.go SanitizeStatName). */
const sanitized = (key: string): string =>
  key
    .replaceAll(/[:|]/g, '_')
    .replaceAll(/\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}/g, (address) => address.replaceAll('.', '_'));
