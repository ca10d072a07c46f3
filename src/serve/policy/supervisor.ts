/**
 * Several engines as one: a crew of workers with the same policy in force.
 * **In**: policies, as texts. **Out**: a {@link PolicyService} whose pages sum all workers. **Fails**: as its workers do.
 */
import { counted } from '../../text/counted.ts';
import { familiesText, metricsPage } from '../../admin/metrics.ts';
import type { LimitsAnswer } from '../../admin/sources.ts';
import { INSPECTION_MS, type InspectionDepth } from '../../core/dispatch/inspect-quotas.ts';
import { mergedLetters } from '../../core/handlers/dead-letter-requests.ts';
import type { HandlerState } from '../../core/handlers/live-handler.ts';
import { mergedLetterStates } from '../../core/handlers/memory-letters.ts';
import { mergedStates } from '../../core/handlers/report-queue.ts';
import { summedCounts } from '../../core/metrics/rule-counts.ts';
import type { MetricFamily } from '../../core/metrics/families.ts';
import { CandidateCrew } from './candidate-crew.ts';
import { escapedFamily } from '../contain-errors.ts';
import { counter, gauge } from '../../core/metrics/family.ts';
import { Crew } from '../crew/crew.ts';
import type { ListenAt } from '../crew/protocol.ts';
import { mergedHolders, mergedInspections, resetInspections } from './merge-inspections.ts';
import { decodedPage } from './encoded-page.ts';
import { unpackedLetters } from './packed-letters.ts';
import { supervisorPart, WorkerPages } from './merge-metrics.ts';
import type { PolicyService, PolicyThreadOptions } from './thread.ts';
import { mergedTop } from './top-limits.ts';
import type { PolicyProtocol } from './worker-protocol.ts';

export interface PolicyCrewOptions extends Omit<PolicyThreadOptions, 'worker'> {
  readonly at: ListenAt;
  readonly workers: { readonly count: number; readonly log: PolicyProtocol['data']['log'] };
}

/** A worker that does not answer in time is left out of a page. */
const VIEW_MS = 2000;
/** A settling that is left out of the answer may still be done. */
const LETTERS_MS = 10_000;

/** It has the disk (core/handlers/spooled/report-logs.ts). */
const WORKER_OF_LETTERS = 1;
const LETTERS_AWAY =
  `worker ${WORKER_OF_LETTERS}, which has the dead letters on disk, is being restarted; ` +
  'ask again in some seconds, and see the log if it does not come back';

class NoAnswer extends Error {
  /** For the admin port. */
  readonly statusCode = 503;
  constructor(silent: number, asked: number) {
    super(
      `${silent} of ${counted(asked, 'worker')} gave no answer within ${LETTERS_MS / 1000} s, and may still do what was asked; ` +
        'list the dead letters again',
    );
  }
}
/** One that does not answer in time counts with its last page; Prometheus waits for 10 s. */
const METRICS_MS = 5000;
/** The number of this thread among those whose metrics are merged; workers are numbered from 1. */
const SUPERVISOR = 0;

export function serveByCrew(options: PolicyCrewOptions): PolicyService {
  const { at, transport, otlpHttp, http, graceMs, log, escaped, families = [], candidateShare } = options;
  const { count } = options.workers;
  const pages = new WorkerPages();
  const crew = new Crew<PolicyProtocol>({
    count,
    graceMs,
    log,
    ...at,
    module: 'serve/policy/worker',
    dataOf: () => ({ transport, otlpHttp, http, graceMs, candidateShare, log: options.workers.log }),
    onServing: (worker) => void candidate.joined(worker),
    onEnded: (number) => void pages.ended(number),
  });
  const candidate = new CandidateCrew(crew, log);
  let hasStarted = false;
  /** Handlers that spool on disk, of the policy in force. */
  let onDisk: readonly string[] = [];

  /** The pages of workers are merged in slices, and one after the other. */
  async function* mergedMetrics(): AsyncGenerator<string> {
    const asked = pages.ask();
    const answers = await crew.answersOf('metrics', undefined, METRICS_MS);
    await Promise.all(answers.map(({ worker, answer }) => pages.update(worker, decodedPage(answer), asked)));
    if (escaped !== undefined) await pages.update(SUPERVISOR, familiesText([escapedFamily(escaped)]));
    yield* supervisorPart(own.pieces());
    yield* await pages.merged();
  }
  const own = metricsPage([...families, ...crewFamilies(crew)], noPages);

  return {
    async use(policy, texts) {
      await crew.use(texts);
      onDisk = [...policy.handlers.values()].filter(({ spool }) => spool.kind === 'disk').map(({ name }) => name);
      if (hasStarted) return;
      hasStarted = true;
      await crew.listen();
      await crew.start();
    },
    listen: async () => ({ grpc: await crew.listen(), otlpHttp, http: http?.address }),
    renewTls: (tls) => crew.renewTls(tls),
    fields: () => ({ workers: crew.servingCount }),
    drain: () => crew.drain(),
    candidate,
    sources: {
      startingWhy: () =>
        hasStarted && crew.servingCount < count
          ? `workers are starting: ${crew.servingCount} of ${count} serve`
          : undefined,
      ruleCounts: async () =>
        summedCounts((await crew.answersOf('ruleCounts', undefined, VIEW_MS)).flatMap(({ answer }) => answer ?? [])),
      handlers: async () =>
        mergedHandlers((await crew.answersOf('handlers', undefined, VIEW_MS)).map(({ answer }) => answer)),
      async letters(request) {
        const isOnDisk = request.handler === undefined ? onDisk.length > 0 : onDisk.includes(request.handler);
        const isAway = isOnDisk && !crew.isAsked(WORKER_OF_LETTERS);
        const answers = await crew.askAll('letters', request, LETTERS_MS);
        const given = answers.filter((answer) => answer !== undefined);
        if (given.length < answers.length) throw new NoAnswer(answers.length - given.length, answers.length);
        return mergedLetters(await Promise.all(given.map(unpackedLetters)), isAway ? LETTERS_AWAY : undefined);
      },
      verdicts: async (filter) =>
        (await crew.askAll('verdicts', filter, VIEW_MS))
          .flatMap((kept) => kept ?? [])
          .toSorted((a, b) => b.timeMs - a.timeMs)
          .slice(0, filter.limit),
      async why(id) {
        const found = (await crew.answersOf('why', id, INSPECTION_MS * 3)).flatMap(({ answer }) => answer ?? []);
        return found.find(({ verdict }) => verdict.outcome !== 'allow') ?? found[0];
      },
      async topLimits(limit) {
        const all = await crew.answersOf('topLimits', limit, VIEW_MS);
        return mergedTop(
          all.map(({ answer }) => answer),
          limit,
        );
      },
      holders: async (id, leases) => mergedHolders(await crew.askAll('holders', { id, leases }, INSPECTION_MS * 3)),
      recorded: async (id) => (await crew.askAll('recorded', id, VIEW_MS)).find((line) => line !== undefined),
      logEntry: async (id) => (await crew.askAll('logEntry', id, VIEW_MS)).find((entry) => entry !== undefined),
      async feed(request) {
        const parts = (await crew.answersOf('feed', request, VIEW_MS)).map(({ answer }) => answer);
        return {
          lines: parts.flatMap(({ lines }) => lines),
          dropped: parts.reduce((sum, { dropped }) => sum + dropped, 0),
          isNew: parts.some(({ isNew }) => isNew),
        };
      },
      async limits(depth, asked, leases) {
        const all = (wanted: InspectionDepth): Promise<readonly (LimitsAnswer | undefined)[]> =>
          crew.askAll('limits', { depth: wanted, asked, leases }, INSPECTION_MS * 3);
        // All workers inspect before any resets, so that the answer shows the counters before the reset.
        const before = mergedInspections(await all(depth === 'explain' ? 'explain' : 'inspect'));
        return depth !== 'reset' || before === undefined || 'wrong' in before
          ? before
          : resetInspections(before.rules, await all('reset'));
      },
      metrics: mergedMetrics,
    },
  };
}

async function* noPages(): AsyncGenerator<string> {}

/** Ready if ready in all workers; its breaker is open if open in one; calls and reports are summed. */
function mergedHandlers(views: readonly (readonly HandlerState[])[]): readonly HandlerState[] {
  const merged = new Map<string, HandlerState>();
  for (const one of views.flat()) {
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
            reports: mergedStates([known.reports, one.reports]),
            durations: known.durations.map((count, at) => count + (one.durations[at] ?? 0)),
            restarts: known.restarts + one.restarts,
            deadLetters: mergedLetterStates(known.deadLetters, one.deadLetters),
            lastError: (known.lastError?.atMs ?? 0) >= (one.lastError?.atMs ?? 0) ? known.lastError : one.lastError,
          },
    );
  }
  return [...merged.values()];
}

const crewFamilies = (crew: Crew<PolicyProtocol>): MetricFamily[] => [
  gauge('sluice_workers', 'Workers that serve now.', () => crew.servingCount),
  counter('sluice_worker_restarts_total', 'Workers that ended unexpectedly and were restarted.', () => crew.restarts),
];
