import type { Needs, Why } from './needs.ts';

export interface EnvoyOptions {
  /** Where Envoy reaches Sluice's gRPC port. */
  readonly host: string;
  readonly port: number;
  /** The name of Sluice's cluster in Envoy. */
  readonly cluster: string;
  /** Of checks and limits; `undefined`: Envoy's own, 200 ms and 20 ms. */
  readonly timeoutMs: number | undefined;
  /** Whether requests pass while Sluice does not answer; `undefined`: not those that are checked, those that are limited alone. */
  readonly failOpen: boolean | undefined;
  /** Access logs by OTLP, which is acknowledged. */
  readonly isOtlp: boolean;
  /** Print TCP filters also for rules that answer HTTP as well. */
  readonly withTcp: boolean;
  readonly maxDescriptors: number;
}

export const DEFAULT_OPTIONS: EnvoyOptions = {
  host: '127.0.0.1',
  port: 9091,
  cluster: 'sluice',
  timeoutMs: undefined,
  failOpen: undefined,
  isOtlp: false,
  withTcp: false,
  maxDescriptors: Infinity,
};

export const CHECK_TIMEOUT_MS = 200;
const LIMIT_TIMEOUT_MS = 20;

/** Bytes of a body that Envoy buffers, unless a rule compares the size with a larger number. */
export const BODY_BYTES = 8192;

export const BUFFER_BYTES = 16_384;
export const FLUSH_INTERVAL_MS = 1000;

export const seconds = (ms: number): string => `${ms / 1000}s`;

export const checkTimeout = ({ timeoutMs }: EnvoyOptions): string => seconds(timeoutMs ?? CHECK_TIMEOUT_MS);
export const limitTimeout = ({ timeoutMs }: EnvoyOptions): string => seconds(timeoutMs ?? LIMIT_TIMEOUT_MS);

/** Most rules that a comment names. */
const MAX_NAMED = 4;

/** `rules a, b and 3 more`. */
export function rulesText(why: Why): string {
  const shown = why.slice(0, MAX_NAMED);
  const rest = why.length - shown.length;
  return `${why.length === 1 ? 'rule' : 'rules'} ${shown.join(', ')}${rest === 0 ? '' : ` and ${rest} more`}`;
}

/** A comment of a setting; `undefined` if no rule needs it. */
export const because = (why: Why): string | undefined => (why.length === 0 ? undefined : rulesText(why));

/** `sluice cannot know: ...`, a question that only the operator can answer. */
export const unknown = (question: string): string => `sluice cannot know: ${question}`;

/** What stands in place of a value that only the operator knows. */
export const PLACEHOLDER = 'FILL-IN';

export const isIp = (host: string): boolean => /^[\d.]+$/.test(host) || host.includes(':');

export interface PolicyParts {
  readonly http: boolean;
  readonly tcp: boolean;
  readonly limit: boolean;
  readonly log: boolean;
  readonly tcpLog: boolean;
  readonly metrics: boolean;
}

/** The parts of Envoy's configuration that are printed. */
export function partsOfPolicy(needs: Needs, { withTcp }: EnvoyOptions): PolicyParts {
  return {
    http: needs.has('http') || needs.has('log verdict'),
    tcp: needs.has('tcp') || (withTcp && needs.has('also-tcp')),
    limit: needs.has('limit') || needs.has('log limit-verdict'),
    log: needs.has('log'),
    tcpLog: needs.has('tcp-log') || (withTcp && needs.has('also-tcp-log')),
    metrics: needs.has('metrics'),
  };
}
