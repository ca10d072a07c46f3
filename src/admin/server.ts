/**
 * The admin port, for operators and Prometheus.
 * **In**: HTTP at a separate address (by default on this machine only). **Out**: JSON, and metrics as text.
 * **Fails**: with a JSON error and a status; calls of Envoy are not affected.
 */
import type { FastifyError, FastifyInstance } from 'fastify';
import { withoutCredentialsIn } from '../attributes/credentials.ts';
import { type HttpPort, listenAt, makeAdminApp, type Query } from './http-app.ts';
import { addFeeds } from './feed-replies.ts';
import { addCandidate } from './candidate.ts';
import { addDeadLetters, type LettersSettled } from './dead-letters.ts';
import { addLimits, type ResetDone } from './limits.ts';
import { sendMetrics } from './metrics-reply.ts';
import { addPage } from './page-route.ts';
import { handlersPage, policyPage } from './pages.ts';
import { addPlayground } from './playground.ts';
import { addRules } from './rules.ts';
import type { AdminSources } from './sources.ts';
import { addTags } from './tags.ts';
import { recordOf } from '../core/history/summary.ts';
import { FILTERS, unknownRule, verdictFilter, verdictsPage } from './verdicts.ts';

export interface AdminOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly sources: AdminSources;
  readonly onFault: (path: string, error: unknown) => void;
  readonly onReset: (done: ResetDone) => void;
  readonly onLetters: (done: LettersSettled) => void;
  /** Time to receive a whole request; default 10 s. */
  readonly requestTimeoutMs?: number;
}

const PAGES = {
  '/': 'a page for people, in a browser',
  '/metrics':
    "Prometheus text format or OpenMetrics, by the Accept header: Sluice's own metrics, and the metrics that rules write",
  '/healthz': '200 while the process runs',
  '/readyz': '200 while a policy is in force and the server is not stopping; otherwise 503 with the reason',
  '/policy':
    'the revision in force, what put it in force and when, and the policies before it; the errors of a newer one that was refused',
  '/policy/envoy': "Envoy's configuration for the policy in force, as `sluice envoy` prints it; text",
  '/policy/rollback': 'puts a policy before this one in force: POST, from this machine, ?steps=1',
  '/candidate': 'the policy of --candidate: how it decides the same calls, by rule, with samples',
  '/candidate/promote': 'puts it in force: POST, from this machine, ?revision=R',
  '/rules':
    'the rules in force, in order, with how often each applied, denied and failed, and when it last did; ?from=N: some, without counts',
  '/rules/counts':
    'the counts alone, of rules that have applied: [position, applied, denied, failed, shadowDenied, lastAt]',
  '/handlers': 'the handlers: readiness, breaker, running and waiting calls',
  '/deadletters': 'reports that a backend refused, of handlers whose reports wait in memory: ?handler=',
  '/deadletters/show': 'one of them with its values: ?id=, from this machine',
  '/deadletters/replay': 'sends them again: POST {"ids": []} or {"all": true}, "handler", from this machine',
  '/deadletters/drop': 'forgets them, in the same way',
  '/verdicts': `recent denials and failures, shadow hits, and a sample of the rest, with reasons; ${FILTERS.map((filter) => `?${filter}=`).join(' ')}`,
  '/verdicts/why':
    'why a kept call was decided so: ?id=, of the verdict or the request; its rules, values, answers and log entry',
  '/verdicts/stream': 'decided calls as they happen, as server-sent events, with the same filters',
  '/record': 'decided calls for `sluice replay`, one a line: ?share=PERCENT&max-bytes=N, from this machine',
  '/playground':
    'what a policy says to a call, without side effects: ' +
    'POST {"policy": null, "request": {"call": "http", "attributes": {}}}, from this machine; GET: the rules in force, as text',
  '/limits/explain':
    'the quota rules that apply to a call, and why: ?domain=D&key=K&value=V..., or POST {"http": {"request.path": "/a"}}',
  '/limits/top': 'the keys nearest to their limit, by the charges since the first request: ?limit=',
  '/limits/holders': 'who holds units of such a key: leases, oldest first, and replicas: ?id=, &from=',
  '/limits/inspect': 'the same as explain, with the state of their counters and who holds units: &from=',
  '/limits/reset': 'the same, and resets those counters: POST, from this machine',
} as const;

/** Rejects as {@link listenAt}. */
export async function startAdmin({
  host,
  port,
  sources,
  onFault,
  onReset,
  onLetters,
  requestTimeoutMs,
}: AdminOptions): Promise<HttpPort> {
  const app = makeAdminApp(host, { requestTimeoutMs });
  addTags(app);
  addRoutes(app, sources);
  addRules(app, sources);
  addLimits(app, sources, onReset);
  addFeeds(app, sources);
  addDeadLetters(app, sources, onLetters);
  addPlayground(app, sources);
  addCandidate(app, sources);
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ error: 'no such page', pages: PAGES }));
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const { statusCode = 500 } = error;
    if (statusCode < 500 || statusCode === 503) return reply.code(statusCode).send({ error: error.message });
    onFault(request.url, error);
    return reply.code(500).send({ error: 'internal error; the log has the reason' });
  });
  return listenAt(app, host, port);
}

function addRoutes(app: FastifyInstance, sources: AdminSources): void {
  addPage(app, PAGES);
  app.get('/healthz', () => ({ status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const policy = sources.policy();
    const handlers = (await sources.handlers()).map(({ name, ready, why }) => ({
      name,
      ready,
      why: withoutCredentialsIn(why ?? null),
    }));
    const why = sources.isDraining()
      ? 'stopping'
      : policy === undefined
        ? (sources.startingWhy?.() ?? 'no policy is in force')
        : undefined;
    return reply
      .code(why === undefined ? 200 : 503)
      .send({ ready: why === undefined, why: why ?? null, revision: policy?.revision ?? null, handlers });
  });
  app.get('/metrics', (request, reply) => sendMetrics(sources.metrics(), request, reply));
  app.get('/policy', () => policyPage(sources.policy(), sources.loading()));
  app.get('/policy/envoy', async (_request, reply) => {
    const policy = sources.policy();
    if (policy === undefined) return reply.code(404).send({ error: 'no policy is in force' });
    const { envoyText } = await import('../envoy/bootstrap.ts');
    return reply.type('text/plain; charset=utf-8').send(await envoyText(policy));
  });
  app.get('/handlers', async () => handlersPage(sources.policy(), await sources.handlers()));
  app.get<{ Querystring: Query }>('/verdicts', async ({ query }, reply) => {
    const filter = verdictFilter(query);
    if ('wrong' in filter) return reply.code(400).send({ error: filter.wrong });
    const kept = await sources.verdicts(filter);
    const unknown = unknownRule(filter, kept, sources.policy());
    return unknown === undefined ? verdictsPage(kept) : reply.code(400).send({ error: unknown });
  });
  app.get<{ Querystring: Query }>('/verdicts/why', async ({ query: { id, ...others } }, reply) => {
    if (typeof id !== 'string' || id === '' || Object.keys(others).length > 0)
      return reply.code(400).send({ error: 'expected one id: ?id=ID, of a verdict or a request' });
    const why = await sources.why(id);
    if (why === undefined) return reply.code(404).send({ error: `no verdict with the id ${id} is kept` });
    const entry = (await sources.logEntry(why.verdict.id)) ?? null;
    return { ...why, verdict: recordOf(why.verdict), entry };
  });
}
