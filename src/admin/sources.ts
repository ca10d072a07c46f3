/** What the admin port shows, as the server knows it at the moment it is asked. */
import type { HandlerState } from '../core/engine.ts';
import type { KeptVerdict } from '../core/kept-verdicts.ts';
import type { Policy } from '../core/rules/policy.ts';

export interface AdminSources {
  /** `undefined` until one has loaded. */
  policy(): Policy | undefined;
  /** Told to stop: no longer ready for new calls. */
  isDraining(): boolean;
  handlers(): readonly HandlerState[] | Promise<readonly HandlerState[]>;
  /** The newest first. */
  verdicts(): readonly KeptVerdict[] | Promise<readonly KeptVerdict[]>;
  /** Prometheus text format. */
  metrics(): Promise<string>;
}
