/**
 * The pages for people, probes and programs: /json and /healthcheck at one port, what is in force and counted at another.
 * **In**: what answers. **Out**: two ports. **Fails**: where a port cannot be had.
 */
import fastify, { type FastifyInstance } from 'fastify';
import { mayReset, RESET_REFUSED } from '../admin/may-reset.ts';
import type { Answerer } from './answerer.ts';
import type { Domains } from './config/tree.ts';
import type { LimitInspector } from './inspection.ts';
import type { RatelimitMetrics } from './metrics.ts';
import { rlconfig } from './rlconfig.ts';

export function addService(app: FastifyInstance, answerer: Answerer): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body));
  app.all('/json', async ({ body, headers }, reply) => {
    const answer = await answerer.answerJson(typeof body === 'string' ? body : '', headers);
    return reply.code(answer.status).header('content-type', answer.contentType).send(Buffer.from(answer.body)); // of text fastify would say the charset
  });
  app.get('/healthcheck', async (_request, reply) => {
    const why = await answerer.unhealthyWhy();
    return reply.code(why === undefined ? 200 : 500).type('text/plain').send(why ?? 'OK');
  });
}

export function addDebug(app: FastifyInstance, answerer: Answerer, metrics: RatelimitMetrics, domains: () => Domains | undefined): void {
  app.get('/', (_request, reply) => reply.type('text/plain').send('/rlconfig: print out the currently loaded configuration for debugging\n/stats: print out stats\n/limits/explain, /limits/inspect, and /limits/reset (POST, from this machine): ?domain=D&key=K&value=V&key=K&value=V\n'));
  app.get('/rlconfig', (_request, reply) => {
    const inForce = domains();
    return reply.type('text/plain').send(inForce === undefined ? '' : rlconfig(inForce));
  });
  app.get('/stats', async (_request, reply) => {
    await answerer.counted();
    return reply.type('text/plain').send([...metrics.counters(), ...[...metrics.gauges].map(([name, read]) => [name, read()] as const)].map(([name, value]) => `${name}: ${value}\n`).join(''));
  });
  addInspection(app, answerer.limits);
}

function addInspection(app: FastifyInstance, inspector: LimitInspector): void {
  const asked = (query: unknown): { readonly domain: string; readonly entries: (readonly [string, string])[] } => {
    const { domain = '', key = [], value = [] } = query as { domain?: string; key?: string | string[]; value?: string | string[] };
    const values = [value].flat();
    return { domain: String(domain), entries: [key].flat().map((name, at) => [name, values[at] ?? '']) };
  };
  app.get('/limits/explain', async ({ query }) => inspector.explain(asked(query).domain, asked(query).entries));
  app.get('/limits/inspect', async ({ query }) => inspector.inspect(asked(query).domain, asked(query).entries));
  app.post('/limits/reset', async (request, reply) => (mayReset(request) ? inspector.reset(asked(request.query).domain, asked(request.query).entries) : reply.code(403).send(RESET_REFUSED)));
}

export async function listenHttp(host: string, port: number, stack: AsyncDisposableStack, add: (app: FastifyInstance) => void): Promise<number> {
  const app = fastify({ forceCloseConnections: true });
  add(app);
  await app.listen({ host, port });
  stack.defer(() => app.close());
  const bound = app.server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : port;
}
