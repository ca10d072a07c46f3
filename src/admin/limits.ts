/**
 * `/limits/*`: the quota rules applied to one call.
 * **In**: a descriptor in the query, or a request as a JSON body. **Out**: for every quota rule whether it applies, why, and the state of
 * its counter. **Fails**: with 400 and a sentence; with 403 or 405 for a reset from another machine or not by POST; with 503 without a
 * policy.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CALL_KINDS, isCallKind } from '../attributes/carrier.ts';
import type { InspectionDepth } from '../core/dispatch/inspect-quotas.ts';
import type { QuotaInspection } from '../core/dispatch/quota-inspection.ts';
import { mayChange, RESET_REFUSED, whoAsks } from './change-access.ts';
import type { Query } from './http-app.ts';
import { FROM_REFUSED, leasesFrom } from './lease-query.ts';
import type { AdminSources, AskedCall } from './sources.ts';
import { counted } from '../text/counted.ts';
import { isObject } from '../text/json-object.ts';
import { messageOf } from '../text/message-of.ts';

/** For requests written by hand. */
const MAX_BYTES = 64 * 1024;
/** Rows of `/limits/top`. */
const MAX_TOP = 500;

/** Counters that an operator has reset, for the log. */
export interface ResetDone {
  readonly rules: readonly string[];
  /** `?reason=`. */
  readonly reason: string | null;
  readonly who: string;
}

const MAX_REASON = 200;
const REASON_REFUSED = `reason must be one text of 1 to ${MAX_REASON} characters`;
const isReason = (reason: string | readonly string[]): reason is string =>
  typeof reason === 'string' && reason.trim() !== '' && reason.length <= MAX_REASON;

const HOLDERS_EXPECTED =
  'expected ?id=ID, of a row of /limits/top, and perhaps &from=N, the number of oldest leases to leave out';

/** The message is a sentence without a full stop. */
class BadRequest extends Error {}

/** In a separate scope: bodies are parsed here, so that errors in them are explained. */
export function addLimits(app: FastifyInstance, sources: AdminSources, onReset: (done: ResetDone) => void): void {
  void app.register(async (own) => {
    own.removeAllContentTypeParsers();
    own.addContentTypeParser('*', { parseAs: 'string', bodyLimit: MAX_BYTES }, (_request, body, done) =>
      done(null, body),
    );
    for (const depth of ['explain', 'inspect'] as const) {
      own.get(`/limits/${depth}`, async (request, reply) => answer(sources, depth, request, reply));
      own.post(`/limits/${depth}`, { bodyLimit: MAX_BYTES }, async (request, reply) =>
        answer(sources, depth, request, reply),
      );
    }
    own.post<{ Querystring: Query }>('/limits/reset', { bodyLimit: MAX_BYTES }, async (request, reply) => {
      if (!mayChange(request)) return reply.code(403).send(RESET_REFUSED);
      const { reason } = request.query;
      if (reason !== undefined && !isReason(reason)) return reply.code(400).send({ error: REASON_REFUSED });
      const answered = await answer(sources, 'reset', request, reply);
      if (isReset(answered)) {
        const rules = answered.rules.filter(({ reset }) => reset === true).map(({ rule }) => rule);
        onReset({ rules, reason: reason?.trim() ?? null, who: whoAsks(request) });
      }
      return answered;
    });
    own.get<{ Querystring: Query }>('/limits/top', async ({ query }, reply) => {
      const { limit = '50' } = query;
      const count = Number(limit);
      if (!(Number.isInteger(count) && count >= 1 && count <= MAX_TOP))
        return reply.code(400).send({ error: `limit must be a whole number from 1 to ${MAX_TOP}` });
      const rows = await sources.topLimits(count);
      return { limits: rows.map(({ atMs, ...row }) => ({ ...row, chargedAt: new Date(atMs).toISOString() })) };
    });
    own.get<{ Querystring: Query }>('/limits/holders', async ({ query }, reply) => {
      const { id, from, ...others } = query;
      const leases = leasesFrom(from);
      if (typeof id !== 'string' || leases === undefined || Object.keys(others).length > 0)
        return reply.code(400).send({ error: HOLDERS_EXPECTED });
      const found = await sources.holders(id, leases);
      return found ?? reply.code(404).send({ error: 'no charge of that key is kept; /limits/top has the ids' });
    });
    own.get('/limits/reset', async (_request, reply) =>
      reply.code(405).header('allow', 'POST').send({ error: 'counters are reset by POST' }),
    );
  });
}

const isReset = (answered: unknown): answered is { readonly rules: readonly QuotaInspection[] } =>
  isObject(answered) && Array.isArray(answered['rules']);

async function answer(
  sources: AdminSources,
  depth: InspectionDepth,
  { query, body }: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  try {
    const leases = leasesFrom((query as Query)['from']);
    if (leases === undefined) throw new BadRequest(FROM_REFUSED);
    const asked = typeof body === 'string' && body !== '' ? callOfBody(body) : callOfQuery(query as Query);
    const result = await sources.limits(depth, asked, leases);
    if (result === undefined) return await reply.code(503).send({ error: 'no policy is in force' });
    if ('wrong' in result) throw new BadRequest(result.wrong);
    return { call: asked.call, rules: result.rules };
  } catch (error) {
    if (error instanceof BadRequest) return reply.code(400).send({ error: error.message });
    throw error;
  }
}

/** `?domain=D&key=K&value=V&key=K&value=V`: a `limit` call with one descriptor. */
function callOfQuery({ domain, key = [], value = [] }: Query): AskedCall {
  if (typeof domain !== 'string')
    throw new BadRequest(
      'expected one domain: ?domain=D&key=K&value=V&key=K&value=V; POST other calls as JSON, such as {"http": {"request.path": "/a"}}',
    );
  const [keys, values] = [[key].flat(), [value].flat()];
  if (keys.length !== values.length)
    throw new BadRequest(
      `expected one value per key; found ${counted(keys.length, 'key')} and ${counted(values.length, 'value')}`,
    );
  return {
    call: 'limit',
    requests: [
      {
        'ratelimit.domain': domain,
        'ratelimit.entries': keys.map((name, at) => ({ key: name, value: values[at] ?? '' })),
      },
    ],
    carried: {},
  };
}

/** The form of cases, `{"http": {...}, "carried": {...}}`, or of `sluice explain`: attributes, with the kind of call in `call`. */
function callOfBody(text: string): AskedCall {
  const body = parsed(text);
  const kinds = CALL_KINDS.filter((kind) => kind in body);
  const [kind] = kinds;
  if (kinds.length > 1) throw new BadRequest(`expected one call; found ${kinds.join(' and ')}`);
  if (kind === undefined) {
    const { call = 'http', ...attributes } = body;
    if (!isCallKind(call))
      throw new BadRequest(`call is ${JSON.stringify(call)}; expected one of ${CALL_KINDS.join(', ')}`);
    return { call, requests: [attributes], carried: {} };
  }
  const { [kind]: asked, carried = {}, ...others } = body;
  const [stranger] = Object.keys(others);
  if (stranger !== undefined) throw new BadRequest(`expected only carried beside ${kind}; found ${stranger}`);
  if (!isObject(carried)) throw new BadRequest('carried must be a map, such as {"contextExtension": {"tier": "gold"}}');
  const requests: readonly unknown[] = kind === 'limit' && Array.isArray(asked) ? asked : [asked];
  if (requests.length === 0 || !requests.every(isObject))
    throw new BadRequest(
      `${kind} must be a map of attributes, such as {"request.method": "GET"}` +
        (kind === 'limit' ? ', or a list with one map per descriptor' : ''),
    );
  return { call: kind, requests, carried };
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new BadRequest(`the body is not JSON: ${messageOf(error)}`);
  }
  if (!isObject(body)) throw new BadRequest('the body must be a JSON object, such as {"http": {"request.path": "/a"}}');
  return body;
}
