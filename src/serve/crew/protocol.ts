/** The messages between a supervisor and its workers, common to all kinds of workers. */
import type { Address, TlsOptions } from '../../transport/index.ts';
import { StartError } from '../errors.ts';
import { messageOf } from '../../text/message-of.ts';
import type { MemoryRequest } from './shared-memory-request.ts';

/** By kind of request: its argument and its answer. */
export type Requests = Readonly<Record<string, { readonly given: unknown; readonly answer: unknown }>>;
export type Answers<R extends Requests> = {
  readonly [K in keyof R]: (given: R[K]['given']) => R[K]['answer'] | Promise<R[K]['answer']>;
};

/** One for each of these methods, which take at most one argument. */
export type RequestsOf<Methods> = {
  readonly [K in keyof Methods]: Methods[K] extends (...given: infer Given) => infer Answer
    ? { readonly given: Given[0]; readonly answer: Awaited<Answer> }
    : never;
};

/** The messages of one kind of worker, in addition to the common ones. */
export interface Protocol {
  /** Passed to a worker when it starts. */
  readonly data: unknown;
  /** The texts that it puts in force. */
  readonly texts: unknown;
  readonly requests: Requests;
  /** Sent by a worker without a request. */
  readonly event: unknown;
}

/** The position of a worker in its crew. */
export interface WorkerPlace {
  readonly number: number;
  readonly count: number;
}

export interface WorkerData<P extends Protocol> extends WorkerPlace {
  readonly data: P['data'];
}

/** The address of a worker: all workers of a process share one port. */
export interface ListenAt {
  readonly address: Address;
  readonly tls: TlsOptions | undefined;
}

/** Requests that every kind of worker answers. */
export type LifeRequests<Texts> = {
  /** Opens everything the texts need; refused if they cannot be in force. `commit` or `abandon` follows. */
  readonly prepare: { readonly given: Texts; readonly answer: void };
  readonly commit: { readonly given: undefined; readonly answer: void };
  readonly abandon: { readonly given: undefined; readonly answer: void };
  /** Prepares and commits. */
  readonly use: { readonly given: Texts; readonly answer: void };
  /** Answers with the bound address. */
  readonly listen: { readonly given: ListenAt; readonly answer: Address };
  readonly renewTls: { readonly given: TlsOptions; readonly answer: void };
};

/** The parts of a {@link StartError}, or the message of any other error. */
export type Failure = Pick<StartError, 'code' | 'message'> | string;

export const failureOf = (error: unknown): Failure =>
  error instanceof StartError ? { code: error.code, message: error.message } : messageOf(error);
export const errorOf = (failure: Failure): Error =>
  typeof failure === 'string' ? new Error(failure) : new StartError(failure.code, failure.message);

export type ToWorker =
  | { readonly kind: 'request'; readonly id: number; readonly what: string; readonly given: unknown }
  | { readonly kind: 'drain' };

export type FromWorker =
  /** It is open, and answers requests. */
  | { readonly kind: 'ready' }
  /** It could not start. */
  | { readonly kind: 'failed'; readonly failure: Failure }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly kind: 'refusal'; readonly id: number; readonly failure: Failure }
  | { readonly kind: 'event'; readonly event: unknown }
  | { readonly kind: 'memory'; readonly request: MemoryRequest }
  /** A line for the log of the process. */
  | { readonly kind: 'log'; readonly line: string };
