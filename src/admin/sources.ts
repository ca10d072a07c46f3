/** What the admin port shows, as the server knows it at the moment it is asked. */
import type { CallKind } from '../attributes/carrier.ts';
import type { LookDepth } from '../core/dispatch/look-at-quotas.ts';
import type { QuotaLook } from '../core/dispatch/quota-look.ts';
import type { KeptVerdict, VerdictFilter } from '../core/history/kept-verdicts.ts';
import type { Policy } from '../core/rules/policy.ts';
import type { Finding } from '../core/rules/yaml/findings.ts';
import type { HandlerState } from '../core/handlers/live-handler.ts';

/** A call that somebody asks about: attributes by name, in `limit` of each descriptor. */
export interface AskedCall {
  readonly call: CallKind;
  readonly requests: readonly Readonly<Record<string, unknown>>[];
  /** What a proxy would send beside them, as in cases. */
  readonly carried: Readonly<Record<string, unknown>>;
}

/** Of every quota rule what it means for the call; or what is wrong with the call, in a sentence without its stop. */
export type LimitsAnswer = { readonly rules: readonly QuotaLook[] } | { readonly wrong: string };

export interface PolicyLoading {
  /** When the policy in force was loaded. */
  readonly atMs: number;
  /** Why the policy that was read last is not in force; `undefined` where it is. */
  readonly refusal: { readonly atMs: number; readonly why: string; readonly findings: readonly Finding[] } | undefined;
}

export interface AdminSources {
  /** `undefined` until one has loaded. */
  policy(): Policy | undefined;
  /** How loading has gone; times in milliseconds since 1970. */
  loading(): PolicyLoading;
  /** While workers start: how many serve. */
  startingWhy?(): string | undefined;
  /** Told to stop: no longer ready for new calls. */
  isDraining(): boolean;
  handlers(): readonly HandlerState[] | Promise<readonly HandlerState[]>;
  /** The newest first. */
  verdicts(filter: VerdictFilter): readonly KeptVerdict[] | Promise<readonly KeptVerdict[]>;
  /** `undefined` without a policy. */
  limits(depth: LookDepth, asked: AskedCall): Promise<LimitsAnswer | undefined>;
  /** Prometheus text format. */
  metrics(): Promise<string>;
}
