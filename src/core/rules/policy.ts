import type { Attributes } from '../../attributes/attributes.ts';
import type { Rule } from './rule.ts';
import type { Position } from './yaml/source-text.ts';

/** A handler as the policy names it, its config parsed. Nothing is open yet. */
export interface HandlerSpec {
  readonly name: string;
  readonly adapter: string;
  /** Parsed by the adapter's schema; secrets resolved. */
  readonly config: unknown;
  /** Equal texts mean an equal adapter and config: the open handler is kept on reload. Holds no secret in the clear. */
  readonly signature: string;
  /** For people: the config as written, secrets hidden. */
  readonly shown: unknown;
  readonly folder: string;
  readonly position: Position;
  readonly deadlineMs: number | undefined;
  readonly concurrency: number;
  readonly queue: number;
  /** It opens after so many failures in a row, the first and the last of them at least `windowMs` apart. */
  readonly breaker: { readonly failures: number; readonly openForMs: number; readonly windowMs: number };
  /** What counts in its place while it cannot be asked, for rules that say so: each of the replicas has its part of a limit. */
  readonly local: { readonly handler: string; readonly replicas: number } | undefined;
  readonly batch: { readonly max?: number; readonly maxAgeMs?: number; readonly maxBytes?: number };
}

/** A policy that loaded whole: every rule compiled, every handler's config parsed. Frozen. */
export interface Policy {
  /** First 12 hex digits of a SHA-256 over the files read. */
  readonly revision: string;
  readonly attributes: Attributes;
  readonly handlers: ReadonlyMap<string, HandlerSpec>;
  /** In order of files and documents; enrich rules are in `enrich` too, in the order of need. */
  readonly rules: readonly Rule[];
  readonly enrich: readonly Rule[];
  /** Files and folders to watch: those read, and those that configs name. */
  readonly watched: readonly string[];
}
