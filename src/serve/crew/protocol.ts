/** What a supervisor and its workers say to each other, whatever they are for. */
import type { StartError } from '../errors.ts';

/** The words of one kind of worker. */
export interface Talk {
  /** By kind of question: what goes with it, and what is answered. */
  readonly asks: Readonly<Record<string, { readonly given: unknown; readonly answer: unknown }>>;
  /** What a worker says when it has started. */
  readonly ready: unknown;
  /** What it says unasked. */
  readonly told: unknown;
}

export type Given<T extends Talk, K extends keyof T['asks']> = T['asks'][K]['given'];
export type Answer<T extends Talk, K extends keyof T['asks']> = T['asks'][K]['answer'];

/** The parts of a {@link StartError}, or the message of any other error. */
export type Failure = Pick<StartError, 'code' | 'message'> | string;

export type ToWorker =
  | { readonly kind: 'ask'; readonly id: number; readonly what: string; readonly given: unknown }
  | { readonly kind: 'drain' };

export type FromWorker<T extends Talk> =
  | { readonly kind: 'ready'; readonly ready: T['ready'] }
  /** It could not start. */
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'refused'; readonly id: number; readonly why: string }
  | { readonly kind: 'told'; readonly told: T['told'] }
  /** For the log of the process. */
  | { readonly kind: 'log'; readonly line: string };
