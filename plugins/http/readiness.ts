import type { Host } from 'sluice/plugin';

/** Readiness of a handler with several parts: its connection, the files that it watches. */
export class Readiness {
  readonly #host: Host;
  readonly #reasons = new Map<string, string>();

  constructor(host: Host) {
    this.#host = host;
  }

  /** `why` it is not ready; `undefined` if it is. */
  set(part: string, why: string | undefined): void {
    if (this.#reasons.get(part) === why) return;
    if (why === undefined) this.#reasons.delete(part);
    else this.#reasons.set(part, why);
    const [first] = this.#reasons.values();
    this.#host.ready(first === undefined, first);
  }

  /** The host for a part that reports its own readiness. */
  hostFor(part: string): Host {
    return { ...this.#host, ready: (isReady, why) => this.set(part, isReady ? undefined : (why ?? 'it is not ready')) };
  }
}
