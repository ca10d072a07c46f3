/**
 * The kinds of action: the one place where they differ.
 * Loading a policy and preparing its rules read this table; a call reads prepared rules only. Sections 4 and 6 of docs/rules.md
 * document it for operators; a test compares the calls.
 */
import type { Capability } from '../adapters/contract.ts';
import { perCallKind, type RuleCall } from '../attributes/carrier.ts';

export const ACTION_KINDS = ['deny', 'allow', 'check', 'quota', 'report', 'enrich'] as const;
export type ActionKind = (typeof ACTION_KINDS)[number];
/** `none`: a rule that only changes allowed calls. */
export type RuleKind = ActionKind | 'none';

/** Order in which a call asks its rules: stage by stage. */
export type Stage = 'enrich' | 'check' | 'quota' | 'report';

/** The result of a failure. `deny`: denied as failed, 503. `allow`: as if the rule did not apply. `error`: gRPC UNAVAILABLE. */
export type ErrorWord = 'deny' | 'allow' | 'error';

/** `local`: the fallback handler counts. */
export type HandlerErrorWord = ErrorWord | 'local';

export interface ActionTraits {
  readonly stage: Stage;
  /** The capability of its handler; `undefined` if it has none. */
  readonly capability: Capability | undefined;
  /** Calls that ask it by default, and calls that ask it only if named in `calls`. */
  readonly calls: Partial<Readonly<Record<RuleCall, 'default' | 'named'>>>;
  /** Whether it can refuse a call. Such a rule stays enforced if its percentage cannot be computed. */
  readonly refuses: boolean;
  /** Parts of a rule that it supports. */
  readonly takes: readonly ('onAllow' | 'onDeny' | 'sample')[];
  /** For each part of a rule that can fail: the default result, and the results that `onError` may choose. */
  readonly onError: {
    /** Match and input. Default `undefined`: a failed match counts as matched, and each input has its own default. */
    readonly input: { readonly default: ErrorWord | undefined; readonly words: readonly ErrorWord[] };
    /** Only if the rule asks a handler. */
    readonly handler: { readonly default: ErrorWord; readonly words: readonly HandlerErrorWord[] };
  };
}

const DECIDING_CALLS: ActionTraits['calls'] = { http: 'default', tcp: 'default', authzen: 'default', limit: 'named' };
/** Records beside the final entries of the access log. */
const RECORDS_IF_NAMED: ActionTraits['calls'] = {
  'log-interim': 'named',
  'tcp-log-interim': 'named',
  'otlp-log': 'named',
  'envoy-metric': 'named',
};
const DENIED = { default: 'deny', words: [] } as const;
const SKIPPED = { default: 'allow', words: [] } as const;

export const ACTIONS: Readonly<Record<RuleKind, ActionTraits>> = {
  enrich: {
    stage: 'enrich',
    capability: 'enrich',
    // A decision has the attributes that were made for its call.
    calls: perCallKind(() => 'default'),
    refuses: false,
    takes: [],
    onError: { input: SKIPPED, handler: SKIPPED },
  },
  deny: {
    stage: 'check',
    capability: undefined,
    calls: DECIDING_CALLS,
    refuses: true,
    takes: ['onAllow'],
    onError: { input: { default: 'deny', words: ['deny', 'allow'] }, handler: SKIPPED },
  },
  allow: {
    stage: 'check',
    capability: 'check',
    calls: DECIDING_CALLS,
    refuses: false,
    takes: ['onAllow'],
    onError: { input: DENIED, handler: { default: 'deny', words: ['deny', 'allow', 'error'] } },
  },
  check: {
    stage: 'check',
    capability: 'check',
    calls: DECIDING_CALLS,
    refuses: true,
    takes: ['onAllow', 'onDeny'],
    onError: {
      input: { default: 'deny', words: ['deny', 'allow'] },
      handler: { default: 'deny', words: ['deny', 'allow', 'error'] },
    },
  },
  none: {
    stage: 'check',
    capability: undefined,
    calls: { http: 'default', tcp: 'default', authzen: 'named', limit: 'default' },
    refuses: false,
    takes: ['onAllow'],
    onError: { input: SKIPPED, handler: SKIPPED },
  },
  quota: {
    stage: 'quota',
    capability: 'quota',
    calls: {
      http: 'default',
      tcp: 'default',
      authzen: 'default',
      limit: 'default',
      log: 'named',
      'tcp-log': 'named',
      ...RECORDS_IF_NAMED,
    },
    refuses: true,
    takes: ['onAllow', 'onDeny'],
    onError: {
      input: { default: undefined, words: ['deny', 'allow'] },
      handler: { default: 'allow', words: ['deny', 'allow', 'error', 'local'] },
    },
  },
  report: {
    stage: 'report',
    capability: 'report',
    calls: {
      http: 'named',
      tcp: 'named',
      authzen: 'named',
      limit: 'named',
      decision: 'named',
      log: 'default',
      'tcp-log': 'default',
      ...RECORDS_IF_NAMED,
    },
    refuses: false,
    takes: ['sample'],
    onError: { input: SKIPPED, handler: SKIPPED },
  },
};

/** For one call of a handler that sets no deadline; the caller's own time may be shorter. */
const DEADLINE_MS: Readonly<Record<Capability, number>> = { enrich: 50, check: 50, quota: 50, report: 30_000 };

export const deadlinesOf = (configuredMs: number | undefined): Readonly<Record<Capability, number>> =>
  configuredMs === undefined
    ? DEADLINE_MS
    : { enrich: configuredMs, check: configuredMs, quota: configuredMs, report: configuredMs };
