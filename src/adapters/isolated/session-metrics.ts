import type { Counter, Host } from '../contract.ts';
import {
  checkCounterName,
  checkedCounter,
  joined,
  piecesOf,
  type PluginMetrics,
  type RenderPage,
  shownAmount,
  WRONG_AMOUNT,
} from '../plugin-metrics.ts';
import type { FromHandler } from './protocol.ts';

/** Metrics of a handler that runs elsewhere: increments of counters are sent, pages are rendered when the host asks. */
export class SessionMetrics implements PluginMetrics {
  readonly #send: (message: FromHandler) => void;
  readonly #counters = new Map<string, Counter>();
  readonly #pages: RenderPage[] = [];
  readonly #kept = new Map<string, unknown>();
  #isRefused = false;

  constructor(send: (message: FromHandler) => void) {
    this.#send = send;
  }

  forHandler(): Host['metrics'] & { withdraw(): void } {
    return {
      counter: (name, help) => this.#counter(name, help),
      page: (render) => {
        if (this.#pages.push(render) === 1) this.#send({ kind: 'hasPage' });
      },
      kept: <T>(name: string, make: () => T) => {
        if (!this.#kept.has(name)) this.#kept.set(name, make());
        return this.#kept.get(name) as T;
      },
      withdraw: () => {
        this.#pages.length = 0;
      },
    };
  }

  async *pieces(): AsyncGenerator<string> {
    for (const render of this.#pages) yield* piecesOf(render);
  }

  render(): Promise<string> {
    return joined(this.pieces());
  }

  #counter(name: string, help: string): Counter {
    checkCounterName(name);
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      this.#counters.set(name, (counter = this.#madeCounter(name, help)));
      this.#send({ kind: 'counted', name, help, amount: 0 }); // shown before it counts
    }
    return counter;
  }

  /** Increments of one turn of the event loop are sent as one. */
  #madeCounter(name: string, help: string): Counter {
    let amount = 0;
    let isSent = true;
    return checkedCounter(
      (more) => {
        amount += more;
        if (!isSent) return;
        isSent = false;
        queueMicrotask(() => {
          this.#send({ kind: 'counted', name, help, amount });
          amount = 0;
          isSent = true;
        });
      },
      (wrong) => this.#refuse(name, wrong),
    );
  }

  #refuse(counter: string, amount: unknown): void {
    if (this.#isRefused) return;
    this.#isRefused = true;
    this.#send({
      kind: 'log',
      level: 'error',
      message: WRONG_AMOUNT,
      fields: { counter, amount: shownAmount(amount) },
    });
  }
}
