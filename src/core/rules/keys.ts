/**
 * The keys of each map of a policy, and the words of each key that has a fixed set.
 * The readers refuse all others; `sluice schema` describes each one.
 */
import type { Algorithm } from '../../adapters/contract.ts';
import type { Range } from '../../yaml/fields.ts';
import { ACTION_KINDS } from '../actions.ts';

const ASK = ['handler', 'params', 'input'] as const;
const ANSWER = ['status', 'headers', 'body'] as const;

export const KEYS = {
  policy: ['settings', 'plugins', 'attributes', 'handlers', 'rules'],
  cases: ['policy', 'cases'],
  settings: [
    'trustedHops',
    'trustedCertificateHops',
    'trustDomainAliases',
    'path',
    'pathParameters',
    'rules',
    'spool',
    'istio',
    'decisions',
  ],
  settingsDecisions: ['sample', 'mask'],
  settingsSpool: ['folder', 'maxBytes', 'maxAge', 'segmentBytes', 'sync'],
  settingsIstio: ['namespace', 'labels', 'service', 'rootNamespace', 'trustDomain', 'providers'],
  attribute: ['is', 'type', 'from', 'secret', 'description'],
  carrier: ['contextExtension', 'metadata', 'filterState', 'customTag', 'header'],
  metadataCarrier: ['namespace', 'path'],
  handler: [
    'adapter',
    'config',
    'deadline',
    'concurrency',
    'queue',
    'breaker',
    'batch',
    'local',
    'run',
    'cache',
    'spool',
  ],
  breaker: ['failures', 'openFor', 'window'],
  batch: ['max', 'maxAge', 'maxBytes'],
  local: ['handler', 'replicas'],
  cache: ['maxBytes'],
  run: ['worker', 'dial', 'tls'],
  worker: ['memory'],
  runDial: ['dial', 'tls'],
  tls: ['ca', 'cert', 'key', 'serverName'],
  spool: ['kind', 'whenFull', 'maxBytes', 'maxAge'],
  memorySpool: ['kind'],
  rule: ['name', 'description', 'match', 'calls', ...ACTION_KINDS, 'onAllow', 'onDeny', 'onError', 'mode', 'sample'],
  deny: [...ANSWER, 'unlessAllowed'],
  allow: ['group', ...ASK],
  check: ASK,
  quota: [
    'handler',
    'key',
    'limit',
    'per',
    'cost',
    'algorithm',
    'burst',
    'counter',
    'once',
    'override',
    'params',
    'partial',
    'policy',
    'zone',
  ],
  report: ASK,
  enrich: [...ASK, 'as'],
  onAllow: ['request', 'response', 'query', 'metadata'],
  headerChanges: ['set', 'append', 'remove'],
  queryChanges: ['set', 'remove'],
  onDeny: ANSWER,
  onError: ['input', 'handler'],
  percentage: ['percent', 'by'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type KeyTable = typeof KEYS;

/** What authors mean who know the words of other systems; for the message about an unknown key. */
export const FOREIGN_KEYS = {
  rule: {
    if: 'match',
    when: 'match',
    where: 'match',
    condition: 'match',
    conditions: 'match',
    expression: 'match',
    action: 'one of deny, allow, check, quota, report, enrich',
    effect: 'deny or allow',
  },
  quota: {
    requests: 'limit',
    requests_per_unit: 'limit',
    maxAmount: 'limit',
    rate: 'limit',
    unit: 'per',
    window: 'per',
    interval: 'per',
    validDuration: 'per',
    dimensions: 'key',
  },
  answer: { code: 'status', http_status: 'status', message: 'body', reason: 'body' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>;

export const WORDS = {
  path: ['NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'],
  pathParameters: ['keep', 'strip'],
  run: ['inline', 'worker'],
  spool: ['disk', 'memory'],
  whenFull: ['block', 'drop-oldest'],
  algorithm: ['fixed', 'gcra', 'sliding', 'log', 'concurrency'] satisfies readonly Algorithm[],
} as const;

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const MIB = 1024 ** 2;

/** The range of each number and duration, both ends included; durations in ms. Beyond it a value is a slip, or does not fit a timer. */
export const RANGES = {
  hops: [0, 100],
  rules: [1, 10_000_000],
  percent: [0, 100],
  status: [300, 599],
  spoolBytes: [MIB, 2 ** 50],
  spoolAge: [1000, 3650 * DAY_MS],
  sync: [1, HOUR_MS],
  deadline: [1, HOUR_MS],
  concurrency: [1, 1_000_000],
  queue: [0, 10_000_000],
  failures: [1, 1_000_000],
  breakerTime: [1, DAY_MS],
  batchMax: [1, 1_000_000],
  batchAge: [1, HOUR_MS],
  batchBytes: [1, 1024 * MIB],
  cacheBytes: [0, 2 ** 40],
  replicas: [1, 100_000],
  memory: [32 * MIB, 2 ** 40],
  per: [1, 3660 * DAY_MS],
  /** Of a quota's limit, cost and burst; fractions count. */
  amount: [0, Number.MAX_SAFE_INTEGER],
} as const satisfies Readonly<Record<string, Range>>;
