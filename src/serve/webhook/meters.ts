/** Counters of the webhook, and their families. */
import { histogramSamples, type MetricFamily } from '../../core/metrics/families.ts';
import { CALL_BOUNDS_MS, Latency } from '../../core/metrics/meters.ts';
import { SKIP_REASONS } from '../../inject/admission/decision.ts';
import type { Reviewed } from '../../inject/admission/review.ts';
import { counter, samples } from '../../core/metrics/family.ts';

export class WebhookMeters {
  readonly #durations = new Latency(CALL_BOUNDS_MS);
  readonly #skipped = new Map<string, number>(SKIP_REASONS.map((reason) => [reason, 0]));
  readonly #refused = new Map<string, number>();
  #injected = 0;
  #failed = 0;
  reloads = 0;
  failedReloads = 0;

  take(outcome: Reviewed['outcome'], durationMs: number): void {
    this.#durations.add(durationMs);
    if (outcome.kind === 'injected') this.#injected += 1;
    else if (outcome.kind === 'failed') this.#failed += 1;
    else increment(this.#skipped, outcome.reason);
  }

  /** A request that is no review, by its HTTP status. */
  refused(status: number): void {
    increment(this.#refused, String(status));
  }

  readonly families: readonly MetricFamily[] = [
    counter('sluice_webhook_injected_total', 'Pods that were injected.', () => this.#injected),
    counter('sluice_webhook_skipped_total', 'Pods that were left as they are, by the reason.', () =>
      samples('reason', this.#skipped),
    ),
    counter(
      'sluice_webhook_failed_total',
      'Pods that were refused, since they cannot be injected.',
      () => this.#failed,
    ),
    counter('sluice_webhook_refused_requests_total', 'Requests that are no reviews, by the HTTP status.', () =>
      samples('status', this.#refused),
    ),
    counter('sluice_webhook_reloads_total', 'Reloads of the injection configuration, by their result.', () =>
      samples('result', [
        ['loaded', this.reloads],
        ['failed', this.failedReloads],
      ]),
    ),
    {
      kind: 'histogram',
      name: 'sluice_webhook_duration_seconds',
      help: 'Time to answer a review, once it is received.',
      read: () => histogramSamples({}, this.#durations),
    },
  ];
}

function increment<K>(counts: Map<K, number>, key: K): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
