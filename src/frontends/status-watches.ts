import type { CallContext } from '../transport/transport.ts';
import { HealthCheckResponse_ServingStatus as ServingStatus } from '../../gen/grpc/health/v1/health_pb.ts';

interface Watch {
  readonly status: ServingStatus;
  readonly wake: () => void;
}

/**
 * All health watches of a server. One timer polls each watched service once, and runs only while there are watches.
 * `undefined` represents all unknown services.
 */
export class StatusWatches {
  readonly #statusOf: (service: string) => ServingStatus;
  readonly #everyMs: number;
  readonly #watches = new Map<string | undefined, Set<Watch>>();
  /** Drain signals with a listener. */
  readonly #draining = new WeakSet<AbortSignal>();
  #timer: NodeJS.Timeout | undefined;

  constructor(statusOf: (service: string) => ServingStatus, everyMs: number) {
    this.#statusOf = statusOf;
    this.#everyMs = everyMs;
  }

  now(service: string | undefined): ServingStatus {
    return service === undefined ? ServingStatus.SERVICE_UNKNOWN : this.#statusOf(service);
  }

  /** Resolves when the status has changed, the caller has disconnected, or the server drains. */
  async change(service: string | undefined, status: ServingStatus, { signal, draining }: CallContext): Promise<void> {
    if (!this.#draining.has(draining)) {
      this.#draining.add(draining);
      draining.addEventListener('abort', () => this.#wakeAll(), { once: true });
    }
    const watches = this.#watches.get(service) ?? new Set();
    this.#watches.set(service, watches);
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    const watch = { status, wake };
    watches.add(watch);
    signal.addEventListener('abort', wake, { once: true });
    this.#timer ??= setInterval(() => this.#poll(), this.#everyMs).unref();
    if (signal.aborted || draining.aborted) wake();
    await promise;
    signal.removeEventListener('abort', wake);
    watches.delete(watch);
    if (watches.size > 0) return;
    this.#watches.delete(service);
    if (this.#watches.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #poll(): void {
    for (const [service, watches] of this.#watches) {
      const status = this.now(service);
      for (const watch of watches) if (watch.status !== status) watch.wake();
    }
  }

  #wakeAll(): void {
    for (const watches of this.#watches.values()) for (const { wake } of watches) wake();
  }
}
