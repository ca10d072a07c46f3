/**
 * HTTP pages: /json and /healthcheck on one port; limits in force, counters and inspection on another.
 * **In**: the engine. **Out**: two ports. **Fails**: if it cannot listen.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { listenAt, makeHttpApp } from '../../admin/http-app.ts';
import { mayChange, RESET_REFUSED } from '../../admin/change-access.ts';
import { FROM_REFUSED, leasesFrom } from '../../admin/lease-query.ts';
import type { RatelimitEngine } from './engine.ts';
import type { Domains } from '../config/tree.ts';
import type { AskedLimit } from '../inspect/explanation.ts';
import type { LimitInspector } from '../inspect/inspector.ts';
import type { RatelimitMetrics } from '../metrics/metrics.ts';
import { configDump } from '../config/config-dump.ts';
import { TimeSlice } from '../../time/time-slice.ts';

export function addService(app: FastifyInstance, engine: Pick<RatelimitEngine, 'answerJson' | 'unhealthyWhy'>): void {
  answerNotFound(app);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  app.all('/json', async ({ body, headers }, reply) => {
    const answer = await engine.answerJson(typeof body === 'string' ? body : '', headers);
    if (answer.status >= 400 && answer.status !== 429) reply.header('x-content-type-options', 'nosniff');
    // For text fastify would add a charset
    return reply.code(answer.status).header('content-type', answer.contentType).send(Buffer.from(answer.body));
  });
  app.all('/healthcheck', async (_request, reply) => {
    const why = await engine.unhealthyWhy();
    return reply
      .code(why === undefined ? 200 : 500)
      .type(TEXT)
      .send(why ?? 'OK');
  });
}

/** As Go's net/http answers. */
const TEXT = 'text/plain; charset=utf-8';
const notFound = (reply: FastifyReply): FastifyReply =>
  reply.code(404).header('x-content-type-options', 'nosniff').type(TEXT).send('404 page not found\n');

export function answerNotFound(app: FastifyInstance): void {
  app.setNotFoundHandler((_request, reply) => notFound(reply));
}

const DEBUG_HELP =
  '/rlconfig: print out the currently loaded configuration for debugging\n/stats: print out stats\n/limits/explain, /limits/inspect, and /limits/reset (POST, from this machine): ?domain=D&key=K&value=V&key=K&value=V\n';

export function addDebug(
  app: FastifyInstance,
  engine: Pick<RatelimitEngine, 'flushMetrics' | 'limits'>,
  metrics: RatelimitMetrics,
  domains: () => Domains | undefined,
): void {
  // An unknown path gets the help page, as in the reference.
  app.setNotFoundHandler((request, reply) =>
    request.url.startsWith('/limits') ? notFound(reply) : reply.code(200).type(TEXT).send(DEBUG_HELP),
  );
  app.all('/rlconfig', (_request, reply) => {
    const inForce = domains();
    return reply.type(TEXT).send(inForce === undefined ? '' : configDump(inForce));
  });
  app.all('/stats', async (_request, reply) => {
    await engine.flushMetrics();
    return reply.type(TEXT).send(await statsOf(metrics));
  });
  addInspection(app, engine.limits);
}

/** Every counter and gauge, one per line. */
async function statsOf(metrics: RatelimitMetrics): Promise<string> {
  const slice = new TimeSlice();
  let page = '';
  for (const [name, value] of metrics.counters()) {
    page += `${name}: ${value}\n`;
    if (slice.isOver) await slice.next();
  }
  for (const [name, read] of metrics.gauges) page += `${name}: ${read()}\n`;
  return page;
}

function addInspection(app: FastifyInstance, inspector: LimitInspector): void {
  const asked = (query: unknown): AskedLimit => {
    const {
      domain = '',
      key = [],
      value = [],
    } = query as { domain?: string; key?: string | string[]; value?: string | string[] };
    const values = [value].flat();
    return { domain: String(domain), entries: [key].flat().map((name, at) => [name, values[at] ?? '']) };
  };
  app.get('/limits/explain', async ({ query }) => inspector.explain(asked(query)));
  app.get('/limits/inspect', async ({ query }, reply) => {
    const leases = leasesFrom((query as { from?: unknown }).from);
    return leases === undefined
      ? reply.code(400).send({ error: FROM_REFUSED })
      : inspector.inspect({ ...asked(query), leases });
  });
  app.post('/limits/reset', async (request, reply) =>
    mayChange(request) ? inspector.reset(asked(request.query)) : reply.code(403).send(RESET_REFUSED),
  );
}

export async function listenHttp(
  host: string,
  port: number,
  stack: AsyncDisposableStack,
  add: (app: FastifyInstance) => void,
  requestTimeoutMs?: number,
): Promise<number> {
  const app = makeHttpApp({ requestTimeoutMs });
  add(app);
  const open = await listenAt(app, host, port);
  stack.defer(() => open.close());
  return open.port;
}
