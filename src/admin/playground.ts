/**
 * `GET /playground?id=`: what to begin with: the text of the policy in force, and a kept call as a request.
 * `POST /playground`: what a policy says to a call.
 * **In**: `{ policy: "yaml" | null, request: { call, attributes, carried }, id }`. **Out**: the explanation, and the findings about the
 * text.
 * **Fails**: with 400 and a sentence, 403 from elsewhere, 503 while {@link MAX_AT_ONCE} run.
 */
import type { FastifyInstance } from 'fastify';
import { CALL_KINDS, isCallKind } from '../attributes/carrier.ts';
import { isObject } from '../text/json-object.ts';
import { mayChange, PLAY_REFUSED } from './change-access.ts';
import { findingRows } from './pages.ts';
import type { AdminSources, PlayRequest } from './sources.ts';
import type { Query } from './http-app.ts';

/** A policy of many thousand rules. */
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_AT_ONCE = 2;
const BUSY = { error: `${MAX_AT_ONCE} requests run; try again` };

export function addPlayground(app: FastifyInstance, sources: AdminSources): void {
  let running = 0;
  /** `undefined` if too many run. */
  async function inTurn<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (running >= MAX_AT_ONCE) return undefined;
    running++;
    try {
      return await work();
    } finally {
      running--;
    }
  }
  app.get<{ Querystring: Query }>('/playground', async (request, reply) => {
    if (!mayChange(request)) return reply.code(403).send(PLAY_REFUSED);
    const { id } = request.query;
    if (id !== undefined && typeof id !== 'string') return reply.code(400).send({ error: 'id is given several times' });
    const start = await inTurn(() => sources.playStart(id));
    if (start === undefined) return reply.code(503).send(BUSY);
    return { policy: start.policy ?? null, why: start.why ?? null, request: start.request ?? null };
  });
  app.post('/playground', { bodyLimit: MAX_BYTES }, async (request, reply) => {
    if (!mayChange(request)) return reply.code(403).send(PLAY_REFUSED);
    const asked = playRequest(request.body);
    if ('wrong' in asked) return reply.code(400).send({ error: asked.wrong });
    const played = await inTurn(() => sources.play(asked));
    if (played === undefined) return reply.code(503).send(BUSY);
    if ('wrong' in played) return reply.code(400).send({ error: played.wrong });
    return { explanation: played.explanation ?? null, findings: findingRows(played.findings) };
  });
}

function playRequest(body: unknown): PlayRequest | { readonly wrong: string } {
  if (!isObject(body)) return { wrong: 'expected a JSON object with policy and request' };
  const { policy = null, request, id } = body;
  if (policy !== null && typeof policy !== 'string')
    return { wrong: 'policy must be the text of a policy, or null for the one in force' };
  if (id !== undefined && typeof id !== 'string') return { wrong: 'id must be the id of a kept verdict' };
  if (!isObject(request)) return { wrong: 'request must be a map with call and attributes' };
  const { call = 'http', attributes = {}, carried = {} } = request;
  if (!isCallKind(call)) return { wrong: `call is ${JSON.stringify(call)}; expected one of ${CALL_KINDS.join(', ')}` };
  if (!isObject(attributes) || !isObject(carried)) return { wrong: 'attributes and carried must be maps' };
  return { policy: policy ?? undefined, asked: { call, requests: [attributes], carried }, id };
}
