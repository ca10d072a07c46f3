/** What the supervisor and a worker say to each other. */
import type { MessagePort } from 'node:worker_threads';
import type { AskedCall, LimitsAnswer } from '../../admin/sources.ts';
import type { LookDepth } from '../../core/dispatch/look-at-quotas.ts';
import type { HandlerState } from '../../core/engine.ts';
import type { KeptVerdict } from '../../core/kept-verdicts.ts';
import type { Address } from '../../transport/index.ts';
import type { CliError } from '../cli-error.ts';
import type { TransportFlags } from '../server.ts';

/** Given to a worker when it starts. */
export interface WorkerData {
  readonly number: number;
  readonly count: number;
  readonly configs: readonly string[];
  readonly grpc: Address;
  readonly transport: TransportFlags;
  readonly graceMs: number;
  readonly log: { readonly format: 'text' | 'json'; readonly level: 'debug' | 'info' | 'warn' | 'error' };
}

/** What a worker knows, for the admin port. */
export interface WorkerView {
  readonly handlers: readonly HandlerState[];
  readonly verdicts: readonly KeptVerdict[];
  readonly metrics: string;
}

export type ToWorker =
  | { readonly kind: 'reload'; readonly id: number }
  | { readonly kind: 'view'; readonly id: number }
  | { readonly kind: 'limits'; readonly id: number; readonly depth: LookDepth; readonly asked: AskedCall }
  | { readonly kind: 'drain' };

export type FromWorker =
  | { readonly kind: 'serves'; readonly port: number }
  /** It could not start: the parts of a CliError, or whatever else it was. */
  | { readonly kind: 'failed'; readonly failure: Pick<CliError, 'code' | 'message' | 'exit'> | string }
  | { readonly kind: 'reloaded'; readonly id: number; readonly revision: string; readonly isTaken: boolean }
  | { readonly kind: 'viewed'; readonly id: number; readonly view: WorkerView }
  | { readonly kind: 'limits'; readonly id: number; readonly answer: LimitsAnswer | undefined }
  /** Wants memory that all workers see, and sleeps until it has it. */
  | { readonly kind: 'shared'; readonly handler: string; readonly name: string; readonly bytes: number; readonly port: MessagePort; readonly signal: Int32Array };
