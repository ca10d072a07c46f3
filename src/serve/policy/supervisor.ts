/**
 * Several engines as one: a crew of workers with the same policy in force.
 * **In**: policies, as texts. **Out**: a {@link PolicyService} whose pages sum all workers. **Fails**: as its workers do.
 */
import { familiesPage, metricsPage } from '../../admin/metrics.ts';
import type { LimitsAnswer } from '../../admin/sources.ts';
import { INSPECTION_MS, type InspectionDepth } from '../../core/dispatch/inspect-quotas.ts';
import type { HandlerState } from '../../core/handlers/live-handler.ts';
import type { MetricFamily } from '../../core/metrics/families.ts';
import { escapedFamily } from '../contain-errors.ts';
import { Crew } from '../crew/crew.ts';
import type { ListenAt } from '../crew/protocol.ts';
import { mergedInspections, resetInspections } from './merge-inspections.ts';
import { supervisorPart, WorkerPages } from './merge-metrics.ts';
import type { PolicyService, PolicyThreadOptions } from './thread.ts';
import type { PolicyProtocol, WorkerView } from './worker-protocol.ts';

export interface PolicyCrewOptions extends Omit<PolicyThreadOptions, 'worker'> {
  readonly at: ListenAt;
  readonly workers: { readonly count: number; readonly log: PolicyProtocol['data']['log'] };
}

/** A worker that does not answer in time is left out of a page. */
const VIEW_MS = 2000;

export function serveByCrew(options: PolicyCrewOptions): PolicyService {
  const { at, transport, graceMs, log, escaped, families = [] } = options;
  const { count } = options.workers;
  const pages = new WorkerPages();
  const crew = new Crew<PolicyProtocol>({
    count,
    graceMs,
    log,
    ...at,
    module: 'serve/policy/worker',
    dataOf: () => ({ transport, graceMs, log: options.workers.log }),
    onEnded: (number) => pages.ended(number),
  });
  let hasStarted = false;

  async function views(): Promise<readonly WorkerView[]> {
    const answers = await crew.answersOf('view', undefined, VIEW_MS);
    for (const { worker, answer } of answers) pages.update(worker, answer.metrics);
    return answers.map(({ answer }) => answer);
  }
  const own = metricsPage([...families, ...crewFamilies(crew)], async () => '');

  return {
    async use(_policy, texts) {
      await crew.use(texts);
      if (hasStarted) return;
      hasStarted = true;
      await crew.listen();
      await crew.start();
    },
    listen: () => crew.listen(),
    renewTls: (tls) => crew.renewTls(tls),
    fields: () => ({ workers: crew.servingCount }),
    drain: () => crew.drain(),
    sources: {
      startingWhy: () =>
        hasStarted && crew.servingCount < count
          ? `workers are starting: ${crew.servingCount} of ${count} serve`
          : undefined,
      handlers: async () => mergedHandlers(await views()),
      verdicts: async (filter) =>
        (await crew.askAll('verdicts', filter, VIEW_MS))
          .flatMap((kept) => kept ?? [])
          .toSorted((a, b) => b.timeMs - a.timeMs)
          .slice(0, filter.limit),
      async limits(depth, asked) {
        const all = (wanted: InspectionDepth): Promise<readonly (LimitsAnswer | undefined)[]> =>
          crew.askAll('limits', { depth: wanted, asked }, INSPECTION_MS * 3);
        // All workers inspect before any resets, so that the answer shows the counters before the reset.
        const before = mergedInspections(await all(depth === 'explain' ? 'explain' : 'inspect'));
        return depth !== 'reset' || before === undefined || 'wrong' in before
          ? before
          : resetInspections(before.rules, await all('reset'));
      },
      async metrics() {
        await views();
        const ofThisThread = escaped === undefined ? [] : [await familiesPage([escapedFamily(escaped)])];
        return `${supervisorPart(await own.render())}${pages.merged(ofThisThread)}`;
      },
    },
  };
}

/** Ready if ready in all workers; its breaker is open if open in one; calls and reports are summed. */
function mergedHandlers(views: readonly WorkerView[]): readonly HandlerState[] {
  const merged = new Map<string, HandlerState>();
  for (const one of views.flatMap(({ handlers }) => handlers)) {
    const known = merged.get(one.name);
    merged.set(
      one.name,
      known === undefined
        ? one
        : {
            ...known,
            ready: known.ready && one.ready,
            why: known.why ?? one.why,
            breaker: known.breaker === 'closed' ? one.breaker : known.breaker,
            running: known.running + one.running,
            waiting: known.waiting + one.waiting,
            queued: known.queued + one.queued,
            restarts: known.restarts + one.restarts,
            lastError: (known.lastError?.atMs ?? 0) >= (one.lastError?.atMs ?? 0) ? known.lastError : one.lastError,
          },
    );
  }
  return [...merged.values()];
}

function crewFamilies(crew: Crew<PolicyProtocol>): MetricFamily[] {
  return [
    {
      kind: 'gauge',
      name: 'sluice_workers',
      help: 'Workers that serve now.',
      read: () => [{ labels: {}, value: crew.servingCount }],
    },
    {
      kind: 'counter',
      name: 'sluice_worker_restarts_total',
      help: 'Workers that ended unexpectedly and were restarted.',
      read: () => [{ labels: {}, value: crew.restarts }],
    },
  ];
}
