import type { Exchange, Receiver } from '../exchange.ts';
import type { Refusal } from './call-head.ts';
import { type Expiring, NOT_IN_WHEEL, type TimerWheel } from '../../time/timer-wheel.ts';

/** Time to wait for the body of a request that is not gRPC. */
const BODY_MS = 10_000;

/** A request that is not gRPC. It gets a plain HTTP reply after its body has arrived, since HTTP clients do not read a reply before. */
export class RefusedCall implements Receiver, Expiring {
  readonly endsAtMs: number;
  readonly lateAtLoopMs = Infinity;
  wheelAtMs = NOT_IN_WHEEL;
  readonly #exchange: Exchange;
  readonly #refusal: Extract<Refusal, { kind: 'http' }>;
  readonly #wheel: TimerWheel;

  constructor(exchange: Exchange, refusal: Extract<Refusal, { kind: 'http' }>, wheel: TimerWheel) {
    this.#exchange = exchange;
    this.#refusal = refusal;
    this.#wheel = wheel;
    const nowMs = performance.now();
    this.endsAtMs = nowMs + BODY_MS;
    wheel.add(this, nowMs);
  }

  data(_bytes: Uint8Array, from: number, to: number, isEnd: boolean): void {
    this.#exchange.credit(to - from);
    if (isEnd) this.expire();
  }

  writable(): void {}

  drain(): boolean {
    return false;
  }

  tick(): void {}

  gone(): void {
    this.#wheel.remove(this);
  }

  expire(): void {
    this.gone();
    this.#exchange.refuse(this.#refusal.status, this.#refusal.text);
  }
}
