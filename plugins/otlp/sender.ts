/**
 * Entries in requests of bounded size.
 * **In**: encoded records, each with its resource. **Out**: all of them taken. **Fails**: with `Unavailable` (the batch is sent again,
 * without the records that were taken) or `Rejected` with the indexes of the refused ones.
 */
import { type Call, type Host, Rejected, Unavailable } from 'sluice/plugin';
import { OrderedBatches } from '../batches/ordered-batches.ts';
import type { Exporter } from './exporter.ts';
import { WireWriter } from './wire.ts';

/** A log record, a span or a metric, encoded. */
export interface EncodedEntry {
  /** Index in the batch. */
  readonly index: number;
  /** Of the report. */
  readonly id: string;
  /** An encoded Resource; one object for all records of a resource. */
  readonly resource: Uint8Array;
  readonly record: Uint8Array;
}

/** Of Export...ServiceRequest, Resource..., Scope...: the same in logs, traces and metrics. */
const [RESOURCES, RESOURCE, SCOPES, SCOPE, RECORDS, SCOPE_NAME] = [1, 1, 2, 1, 2, 1];
/** Tags and lengths around a record, and around a resource. */
const RECORD_OVERHEAD = 8;
const RESOURCE_OVERHEAD = 48;

export class OtlpSender {
  readonly #exporter: Exporter;
  readonly #host: Host;
  readonly #maxBytes: number;
  readonly #shown: string;
  readonly #batches = new OrderedBatches();
  readonly #out = new WireWriter();
  readonly #refused;
  #saidCut = false;

  constructor(exporter: Exporter, { url, maxRequestBytes }: { url: string; maxRequestBytes: number }, host: Host) {
    this.#exporter = exporter;
    this.#host = host;
    this.#maxBytes = maxRequestBytes;
    this.#shown = new URL(url).host;
    this.#refused = host.metrics.counter(
      'otlp_refused',
      'Records that a collector refused in an answer of partial success; it does not say which.',
    );
  }

  send(entries: readonly EncodedEntry[], call: Call): Promise<void> {
    return this.#batches.run(entries, (batch, taken) => this.#send(batch, taken, call));
  }

  async #send(entries: readonly EncodedEntry[], taken: Set<string>, call: Call): Promise<void> {
    const refused: number[] = [];
    let why = '';
    const refuse = (those: readonly EncodedEntry[], reason: string): void => {
      refused.push(...those.map(({ index }) => index));
      why ||= `${this.#shown}: ${reason}`;
    };
    const isLarge = ({ record, resource }: EncodedEntry): boolean =>
      record.length + resource.length + RECORD_OVERHEAD + RESOURCE_OVERHEAD > this.#maxBytes;
    const left = entries.filter(({ id }) => !taken.has(id));
    const large = left.filter(isLarge);
    if (large.length > 0) refuse(large, `a record is larger than maxRequestBytes (${this.#maxBytes})`);
    const requests = this.#requestsOf(left.filter((one) => !isLarge(one)));
    for (let request = requests.shift(); request !== undefined; request = requests.shift()) {
      const answer = await this.#exporter.send(this.#encoded(request), call);
      switch (answer.kind) {
        case 'taken':
          for (const { id } of request) taken.add(id);
          if (answer.isCut === true) this.#warnOfCut();
          if (answer.refused > 0 || answer.message !== '') this.#warn(answer.refused, request.length, answer.message);
          break;
        case 'later':
          throw new Unavailable(`${this.#shown}: ${answer.why}`, answer.retryAfterMs);
        case 'too-large':
          if (request.length === 1) refuse(request, answer.why);
          else requests.unshift(request.slice(0, request.length / 2), request.slice(request.length / 2));
          break;
        case 'rejected':
          refuse(request, answer.why);
      }
    }
    if (refused.length > 0)
      throw new Rejected(
        why,
        refused.toSorted((a, b) => a - b),
      );
  }

  #warn(refused: number, sent: number, message: string): void {
    this.#refused.add(refused);
    this.#host.log.warn(
      refused > 0
        ? 'a collector refused records, and does not say which'
        : 'a collector took all records with a warning',
      { refused, sent, says: message },
    );
  }

  /** Once: a collector that answers so does so each time. */
  #warnOfCut(): void {
    if (this.#saidCut) return;
    this.#saidCut = true;
    this.#host.log.warn(
      'an answer of a collector is too long to look for refused records; the request counts as taken',
      {
        server: this.#shown,
      },
    );
  }

  #requestsOf(entries: readonly EncodedEntry[]): EncodedEntry[][] {
    const requests: EncodedEntry[][] = [];
    let request: EncodedEntry[] = [];
    let bytes = 0;
    let resources = new Set<Uint8Array>();
    for (const entry of entries) {
      const own = (): number =>
        entry.record.length +
        RECORD_OVERHEAD +
        (resources.has(entry.resource) ? 0 : entry.resource.length + RESOURCE_OVERHEAD);
      if (request.length > 0 && bytes + own() > this.#maxBytes) {
        requests.push(request);
        request = [];
        bytes = 0;
        resources = new Set();
      }
      bytes += own();
      resources.add(entry.resource);
      request.push(entry);
    }
    if (request.length > 0) requests.push(request);
    return requests;
  }

  #encoded(entries: readonly EncodedEntry[]): Buffer {
    const out = this.#out;
    out.clear();
    for (const [resource, own] of Map.groupBy(entries, (one) => one.resource)) {
      const all = out.begin(RESOURCES);
      out.bytes(RESOURCE, resource);
      const scopes = out.begin(SCOPES);
      const scope = out.begin(SCOPE);
      out.text(SCOPE_NAME, 'sluice');
      out.end(scope);
      for (const { record } of own) out.bytes(RECORDS, record);
      out.end(scopes);
      out.end(all);
    }
    return Buffer.from(out.written);
  }
}
