/**
 * AuthZEN 1.0, Authorization API: the HTTP binding of access evaluations, and the metadata of the decision point.
 * **In**: a request at one of its paths. **Out**: decisions as JSON. **Fails**: as the specification says: 400 for a bad request, 500 where
 * the engine fails; an error of one evaluation among several is a decision `false` with `context.error`.
 */
import type { Caller, Engine, Verdict } from '../../../core/call.ts';
import type { HttpAnswer } from '../http-answer.ts';
import type { HttpRoute } from '../routes.ts';
import { AuthzenWire } from './authzen-wire.ts';
import {
  BadRequest,
  type Evaluation,
  type Evaluations,
  readDocument,
  readEvaluation,
  readEvaluations,
} from './evaluation.ts';

export interface AuthzenRequest {
  readonly method: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  readonly caller: Caller;
}
export type AuthzenEndpoint = (request: AuthzenRequest) => HttpAnswer | Promise<HttpAnswer>;

interface Decision {
  readonly decision: boolean;
  readonly context?: Readonly<Record<string, unknown>>;
}

const WELL_KNOWN = '/.well-known/authzen-configuration';
/** The end of the default paths; what is before it belongs to the identifier of the decision point. */
const API = '/access/v1';

/** By path. */
export function authzenEndpoints(
  engine: Engine,
  route: HttpRoute,
  nowMs: () => number,
): readonly (readonly [path: string, endpoint: AuthzenEndpoint])[] {
  const { prefix } = route;
  const tenant = prefix.endsWith(API) ? prefix.slice(0, -API.length) : prefix;
  const post =
    (
      answer: (document: ReturnType<typeof readDocument>, request: AuthzenRequest) => HttpAnswer | Promise<HttpAnswer>,
    ) =>
    (request: AuthzenRequest): HttpAnswer | Promise<HttpAnswer> => {
      const { method, headers, body } = request;
      if (method !== 'POST') return failure(405, 'expected POST', ['allow', 'POST']);
      if (!/^application\/json\s*(?:;|$)/i.test(headers.get('content-type') ?? ''))
        return failure(400, 'expected content-type: application/json');
      try {
        return answer(readDocument(body), request);
      } catch (error) {
        if (error instanceof BadRequest) return failure(400, error.message);
        throw error;
      }
    };

  const ask = (evaluation: Evaluation, { body, caller }: AuthzenRequest): Verdict | Promise<Verdict> =>
    engine.check('authzen', new AuthzenWire(evaluation, body.length, nowMs), caller);

  const single = (
    document: ReturnType<typeof readDocument>,
    request: AuthzenRequest,
  ): HttpAnswer | Promise<HttpAnswer> => {
    const verdict = ask(readEvaluation(document), request);
    return verdict instanceof Promise ? verdict.then(singleAnswer) : singleAnswer(verdict);
  };

  async function several({ semantic, items }: Evaluations, request: AuthzenRequest): Promise<HttpAnswer> {
    const decide = async (item: Evaluation | string): Promise<Decision> =>
      typeof item === 'string' ? refused(400, item) : decisionOf(await ask(item, request));
    if (semantic === 'execute_all') return json({ evaluations: await Promise.all(items.map(decide)) });
    const last = semantic === 'permit_on_first_permit';
    const decisions: Decision[] = [];
    for (const item of items) {
      const decision = await decide(item);
      decisions.push(decision);
      if (decision.decision === last) break;
    }
    return json({ evaluations: decisions });
  }

  return [
    [`${prefix}/evaluation`, post(single)],
    [
      `${prefix}/evaluations`,
      post((document, request) => {
        const evaluations = readEvaluations(document);
        return evaluations === undefined ? single(document, request) : several(evaluations, request);
      }),
    ],
    [
      `${WELL_KNOWN}${tenant}`,
      ({ method, headers }) => {
        if (method !== 'GET' && method !== 'HEAD') return failure(405, 'expected GET', ['allow', 'GET']);
        // Without a configured URL, the host by which the client came; clients compare it with the URL that they know.
        const origin = route.url ?? `https://${headers.get('host') ?? ''}${tenant}`;
        const api = `${origin}${prefix.slice(tenant.length)}`;
        return json({
          policy_decision_point: origin,
          access_evaluation_endpoint: `${api}/evaluation`,
          access_evaluations_endpoint: `${api}/evaluations`,
        });
      },
    ],
  ];
}

function singleAnswer(verdict: Verdict): HttpAnswer {
  return verdict.outcome === 'error' ? failure(500, undecided(verdict)) : json(decisionOf(verdict));
}

const undecided = ({ rule, id }: Verdict): string => `${rule ?? 'a rule'} could not be decided (verdict ${id})`;

/** Whatever is not allowed is `false`: decisions default to closed. */
function decisionOf(verdict: Verdict): Decision {
  const { id, rule, outcome, status, body } = verdict;
  switch (outcome) {
    case 'allow': {
      const { metadata } = verdict.changes;
      return {
        decision: true,
        context: { id, ...(metadata.length === 0 ? {} : { metadata: Object.fromEntries(metadata) }) },
      };
    }
    case 'deny':
      return { decision: false, context: { id, rule, status, ...(body === '' ? {} : { reason: body }) } };
    case 'failed':
      return { decision: false, context: { id, rule, error: { status: 503, message: 'the rule failed' } } };
    case 'error':
      return { decision: false, context: { id, rule, error: { status: 500, message: undecided(verdict) } } };
  }
}

const refused = (status: number, message: string): Decision => ({
  decision: false,
  context: { error: { status, message } },
});

const json = (document: unknown): HttpAnswer => ({
  status: 200,
  headers: ['content-type', 'application/json'],
  body: JSON.stringify(document),
});

/** The body is a message, in JSON as the answers are. */
export const failure = (status: number, message: string, headers: readonly string[] = []): HttpAnswer => ({
  status,
  headers: ['content-type', 'application/json', ...headers],
  body: JSON.stringify(message),
});
