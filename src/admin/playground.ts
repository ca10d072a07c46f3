/**
 * `POST /playground`: what a policy says to a call.
 * **In**: `{ policy: "yaml" | null, request: { call, attributes, carried }, id }`. **Out**: the explanation, and the findings about the
 * text.
 * **Fails**: with 400 and a sentence, 403 from elsewhere, 503 while {@link MAX_AT_ONCE} run.
 */
import type { FastifyInstance } from 'fastify';
import { CALL_KINDS, type CallKind } from '../attributes/carrier.ts';
import { mayChange, PLAY_REFUSED } from './change-access.ts';
import { findingRows } from './pages.ts';
import type { AdminSources, PlayRequest } from './sources.ts';

/** A policy of many thousand rules. */
const MAX_BYTES = 4 * 1024 * 1024;
const MAX_AT_ONCE = 2;

export function addPlayground(app: FastifyInstance, sources: AdminSources): void {
  let running = 0;
  app.post('/playground', { bodyLimit: MAX_BYTES }, async (request, reply) => {
    if (!mayChange(request)) return reply.code(403).send(PLAY_REFUSED);
    const asked = playRequest(request.body);
    if ('wrong' in asked) return reply.code(400).send({ error: asked.wrong });
    if (running >= MAX_AT_ONCE) return reply.code(503).send({ error: `${MAX_AT_ONCE} requests run; try again` });
    running++;
    try {
      const played = await sources.play(asked);
      if ('wrong' in played) return await reply.code(400).send({ error: played.wrong });
      return { explanation: played.explanation ?? null, findings: findingRows(played.findings) };
    } finally {
      running--;
    }
  });
}

function playRequest(body: unknown): PlayRequest | { readonly wrong: string } {
  if (!isMap(body)) return { wrong: 'expected a JSON object with policy and request' };
  const { policy = null, request, id } = body;
  if (policy !== null && typeof policy !== 'string')
    return { wrong: 'policy must be the text of a policy, or null for the one in force' };
  if (id !== undefined && typeof id !== 'string') return { wrong: 'id must be the id of a kept verdict' };
  if (!isMap(request)) return { wrong: 'request must be a map with call and attributes' };
  const { call = 'http', attributes = {}, carried = {} } = request;
  if (!isCallKind(call)) return { wrong: `call is ${JSON.stringify(call)}; expected one of ${CALL_KINDS.join(', ')}` };
  if (!isMap(attributes) || !isMap(carried)) return { wrong: 'attributes and carried must be maps' };
  return { policy: policy ?? undefined, asked: { call, requests: [attributes], carried }, id };
}

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isCallKind = (value: unknown): value is CallKind => CALL_KINDS.some((kind) => kind === value);
