import type { AnyHandler } from '../../adapters/contract.ts';
import type { HandlerSpec } from '../rules/policy.ts';

/** A handler that is open. */
export interface OpenHandler {
  readonly handler: AnyHandler;
  /** Whether its backend can be asked now, and why not. */
  readiness(): { readonly ready: boolean; readonly why: string | undefined };
  /** Aborts its signal, waits for its background work, closes it. Harmless when repeated. */
  close(): Promise<void>;
}

/** Opens what a policy names; given to the core by who starts it (`adapters` in a server, canned answers in cases). */
export type OpenHandlers = (spec: HandlerSpec) => Promise<OpenHandler>;
