/** Rows of `/verdicts/stream`. */
import { RedactedRequest } from '../../attributes/redacted-request.ts';
import type { DecidedCall } from '../../core/history/observers.ts';
import { fieldsOf, type KeptVerdict, statusOf } from '../../core/history/summary.ts';
import { passesFilter, type VerdictFilter } from '../../core/history/verdict-filter.ts';
import type { FedCall } from './feeds.ts';

/** What all readers of a call share; made by the first that asks. */
interface Shared {
  fields: KeptVerdict['request'] | undefined;
  line: string | undefined;
}

export class LiveLines {
  readonly #worker: number;
  readonly #shared = new WeakMap<DecidedCall, Shared>();

  constructor(worker: number) {
    this.#worker = worker;
  }

  /** `undefined` if the filter excludes it. */
  lineOf({ decided, timeMs }: FedCall, filter: VerdictFilter): string | undefined {
    const { verdict, call, bags, tookMs } = decided;
    const [bag] = bags;
    if (bag === undefined) return undefined;
    let shared = this.#shared.get(decided);
    if (shared === undefined) this.#shared.set(decided, (shared = { fields: undefined, line: undefined }));
    const known = shared;
    const request = (): KeptVerdict['request'] => (known.fields ??= fieldsOf(new RedactedRequest(bag)));
    if (!passesFilter(filter, verdict, call, request)) return undefined;
    const { method, host, path, client, principal, requestId } = request();
    return (known.line ??= JSON.stringify({
      id: verdict.id,
      time: new Date(timeMs).toISOString(),
      call,
      outcome: verdict.outcome,
      rule: verdict.rule ?? null,
      status: statusOf(verdict),
      method,
      host,
      path,
      client,
      principal,
      requestId,
      shadow: verdict.shadow,
      tookMs: Math.round(tookMs * 1000) / 1000,
      worker: this.#worker,
    }));
  }
}
