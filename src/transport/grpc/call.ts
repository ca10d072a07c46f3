/** The common part of unary and streaming calls: deadline, signal, end. */
import type { X509Certificate } from 'node:crypto';
import type { Exchange, Head } from '../exchange.ts';
import { type CallContext, type GoneObserver, GrpcError, Status } from '../transport.ts';
import type { CallHead } from './call-head.ts';
import { isInternal, statusOf } from './status.ts';
import { type Expiring, NOT_IN_WHEEL, type TimerWheel } from '../../time/timer-wheel.ts';
import type { Decompressor } from './decompressor.ts';

/** The context that calls get from their server. */
export interface CallHost {
  readonly maxMessageBytes: number;
  /** Of a stream of records. */
  readonly maxStreamAgeMs: number;
  readonly wheel: TimerWheel;
  readonly decompressor: Decompressor;
  readonly draining: AbortSignal;
  readonly ending: AbortSignal;
  readonly onFault: (path: string, error: unknown) => void;
}

export abstract class Call implements CallContext, Expiring {
  readonly #head: Head;
  readonly callHead: CallHead;
  readonly exchange: Exchange;
  readonly host: CallHost;
  /** By `performance.now()`; Infinity without a timeout. */
  readonly endsAtMs: number;
  wheelAtMs = NOT_IN_WHEEL;
  isOver = false;
  isGone = false;
  #controller: AbortController | undefined;
  #observers: GoneObserver[] | undefined;

  constructor(exchange: Exchange, head: Head, callHead: CallHead, host: CallHost) {
    this.exchange = exchange;
    this.#head = head;
    this.callHead = callHead;
    this.host = host;
    this.endsAtMs = callHead.timeoutMs === undefined ? Infinity : exchange.arrivedAtMs + callHead.timeoutMs;
  }

  // ---------------------------------------------------------- for handlers

  get arrivedAtMs(): number {
    return this.exchange.arrivedAtMs;
  }

  get peer(): string {
    return this.exchange.peer.address;
  }

  get peerCertificate(): X509Certificate | undefined {
    return this.exchange.peer.certificate;
  }

  get draining(): AbortSignal {
    return this.host.draining;
  }

  get ending(): AbortSignal {
    return this.host.ending;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.isGone && !this.#controller.signal.aborted) this.#controller.abort(gone());
    return this.#controller.signal;
  }

  observe(observer: GoneObserver): void {
    if (this.isGone) observer.callerGone(gone().message);
    else (this.#observers ??= []).push(observer);
  }

  get remainingMs(): number | undefined {
    return this.callHead.timeoutMs === undefined ? undefined : Math.max(0, this.endsAtMs - performance.now());
  }

  metadata(key: string): string | undefined {
    return this.#head.header(key);
  }

  // ---------------------------------------------------------- its end

  get lateAtLoopMs(): number {
    return Infinity;
  }

  gone(): void {
    if (this.isOver) return;
    this.isGone = true;
    this.over(gone());
  }

  expire(): void {
    if (this.isOver) return;
    const late = new GrpcError(Status.DEADLINE_EXCEEDED, 'the deadline has passed');
    this.isGone = true;
    this.exchange.end(late.code, late.message);
    this.over(late);
  }

  /** The handler threw, or the request is invalid. */
  fail(error: unknown): void {
    // A handler whose caller is gone may stop by these; any other error is still an internal one.
    const isStop = this.isGone && error instanceof Error && (error.name === 'AbortError' || error instanceof GrpcError);
    if (isInternal(error) && !isStop) this.host.onFault(this.callHead.path, error);
    if (this.isOver) return;
    const { code, details, richStatus } = statusOf(error);
    this.over(undefined);
    this.exchange.end(code, details, richStatus);
  }

  /** Starts its deadline; a call that is answered synchronously needs none. */
  startTimer(): void {
    if (this.endsAtMs === Infinity || this.wheelAtMs !== NOT_IN_WHEEL) return;
    this.host.wheel.add(this, performance.now());
  }

  stopTimer(): void {
    this.host.wheel.remove(this);
  }

  /** `why`: aborts the handler, which may still be running. */
  over(why: GrpcError | undefined): void {
    this.isOver = true;
    this.stopTimer();
    if (why === undefined) return;
    this.#controller?.abort(why);
    for (const observer of this.#observers ?? []) observer.callerGone(why.message);
  }
}

const gone = (): GrpcError => new GrpcError(Status.CANCELLED, 'the caller has disconnected');
