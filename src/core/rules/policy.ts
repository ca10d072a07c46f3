import type { SecretTexts } from '../../text/secret-texts.ts';
import type { Adapter } from '../../adapters/contract.ts';
import type { AdapterOrigin, FoundPlugin } from '../../adapters/registry.ts';
import type { Attributes } from '../../attributes/attributes.ts';
import type { Masks } from '../../attributes/secrets.ts';
import type { Rule } from './rule.ts';
import type { HandlerRun } from './sections/run-key.ts';
import type { HandlerSpool } from './sections/spool-key.ts';
import type { Position } from '../../yaml/source-text.ts';

/** A handler as the policy declares it, its config parsed; not open. */
export interface HandlerSpec {
  readonly name: string;
  /** The adapter's name. */
  readonly adapter: string;
  readonly implementation: Adapter;
  /** `undefined` for an adapter that was not loaded from a module. */
  readonly origin: AdapterOrigin | undefined;
  readonly run: HandlerRun;
  /** Parsed by the adapter's schema; secrets resolved. */
  readonly config: unknown;
  /** A hash of adapter, config and where it runs; a reload keeps the open handler if it and the implementation are equal. */
  readonly signature: string;
  /** The config as written, secrets hidden, for operators. */
  readonly shown: unknown;
  /** What its errors may not show. */
  readonly secrets: SecretTexts;
  readonly folder: string;
  readonly position: Position;
  readonly deadlineMs: number | undefined;
  readonly concurrency: number;
  readonly queue: number;
  /** Memory for answers that stay valid; 0 keeps none. */
  readonly cacheBytes: number;
  /** Opens after `failures` consecutive failures that span at least `windowMs`. */
  readonly breaker: { readonly failures: number; readonly openForMs: number; readonly windowMs: number };
  /** The fallback that counts while this handler is unavailable, for rules that allow it; each replica has its part of a limit. */
  readonly local: { readonly handler: string; readonly replicas: number } | undefined;
  readonly batch: { readonly max?: number; readonly maxAgeMs?: number; readonly maxBytes?: number };
  /** Where reports wait for the handler. */
  readonly spool: HandlerSpool;
}

/** `settings.decisions`: of allowed calls, and of what decisions show. */
export interface DecisionSettings {
  /** The percentage of allowed calls that rules of decision calls report, unless a rule has its own. */
  readonly sample: number;
  readonly masks: Masks;
}

/** A complete policy: every rule compiled, every handler's config parsed. Read-only. */
export interface Policy {
  /** First 12 hex digits of a SHA-256 over the files read. */
  readonly revision: string;
  readonly attributes: Attributes;
  readonly handlers: ReadonlyMap<string, HandlerSpec>;
  /** In order of files and documents; enrich rules are also in `enrich`, ordered by dependency. */
  readonly rules: readonly Rule[];
  readonly enrich: readonly Rule[];
  /** Of `plugins:`, with the module of each. */
  readonly plugins: readonly FoundPlugin[];
  readonly decisions: DecisionSettings;
  /** `settings.spool.folder`, absolute. */
  readonly spoolFolder: string | undefined;
  /** Some text of a rule reads `verdict.id`. */
  readonly sendsVerdictId: boolean;
  /** Files and folders to watch: the policy's own, and files named in configs. */
  readonly watched: readonly string[];
}
