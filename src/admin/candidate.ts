/**
 * `/candidate`, and what operators change: a candidate is promoted, a policy comes back.
 * **In**: POSTs of this machine. **Out**: the revision in force. **Fails**: with 403 from elsewhere, 404 without a candidate, 409 if the
 * change is refused, 503 while the server stops; each with a sentence.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { DifferenceRow } from '../candidate/differences.ts';
import type { SampleRow } from '../candidate/sample.ts';
import { CHANGE_REFUSED, mayChange, whoAsks } from './change-access.ts';
import type { Query } from './http-app.ts';
import { findingRows } from './pages.ts';
import type { AdminSources, CandidateState, ChangeResult } from './sources.ts';

const NO_CANDIDATE = { error: 'there is no candidate; start the server with --candidate PATH' } as const;

export function addCandidate(app: FastifyInstance, { control }: Pick<AdminSources, 'control'>): void {
  app.get('/candidate', async (_request, reply) => {
    const state = await control.candidate();
    return state === undefined ? reply.code(404).send(NO_CANDIDATE) : candidatePage(state);
  });
  app.post<{ Querystring: Query }>('/candidate/promote', async (request, reply) => {
    if (!mayChange(request)) return reply.code(403).send(CHANGE_REFUSED);
    const { revision, ...others } = request.query;
    const wrong = strange(others, 'revision');
    if (wrong !== undefined || Array.isArray(revision)) return wrongQuery(reply, wrong ?? 'revision is given twice');
    return answer(reply, await control.promote(revision as string | undefined, whoAsks(request)));
  });
  app.post<{ Querystring: Query }>('/policy/rollback', async (request, reply) => {
    if (!mayChange(request)) return reply.code(403).send(CHANGE_REFUSED);
    const { steps = '1', ...others } = request.query;
    const wrong = strange(others, 'steps');
    const count = Number(steps);
    if (wrong !== undefined || !(Number.isInteger(count) && count >= 1))
      return wrongQuery(reply, wrong ?? `steps is ${String(steps)}; expected a whole number from 1`);
    return answer(reply, await control.rollback(count, whoAsks(request)));
  });
  for (const path of ['/candidate/promote', '/policy/rollback'])
    app.get(path, async (_request, reply) =>
      reply.code(405).header('allow', 'POST').send({ error: 'the policy is changed by POST' }),
    );
}

const wrongQuery = (reply: FastifyReply, error: string): FastifyReply => reply.code(400).send({ error });

function strange(others: Query, expected: string): string | undefined {
  const [name] = Object.keys(others);
  return name === undefined ? undefined : `unknown parameter ${name}; expected ${expected}`;
}

const answer = (reply: FastifyReply, result: ChangeResult): FastifyReply =>
  'revision' in result
    ? reply.send(result)
    : reply.code(result.status).send({
        error: result.error,
        ...(result.findings.length === 0 ? {} : { findings: findingRows(result.findings) }),
      });

function candidatePage({ paths, share, revision, loadedAtMs, isInForce, refusal, report }: CandidateState): object {
  return {
    path: paths.join(' '),
    revision: revision ?? null,
    loadedAt: revision === undefined ? null : new Date(loadedAtMs).toISOString(),
    inForce: isInForce,
    refusal: refusal === undefined ? null : { why: refusal.why, findings: findingRows(refusal.findings) },
    share: Number((share * 100).toFixed(4)),
    against: report?.against ?? null,
    since: report === undefined ? null : new Date(report.sinceMs).toISOString(),
    compared: report?.compared ?? 0,
    differing: report?.differing ?? 0,
    otherHeaders: report?.otherHeaders ?? 0,
    skipped: report?.skipped ?? 0,
    waiting: report?.waiting ?? 0,
    byRule: report?.differences.map(differenceRow) ?? [],
    otherDifferences: report?.otherDifferences ?? 0,
    samples: report?.samples.map(sampleRow) ?? [],
    notCompared: report?.notCompared ?? [],
  };
}

/** `rule`: the one that makes the difference. */
const differenceRow = ({ ruleNow, ruleThen, outcomeNow, outcomeThen, count }: DifferenceRow): object => ({
  rule: ruleThen ?? ruleNow,
  now: outcomeNow,
  // oxlint-disable-next-line unicorn/no-thenable -- JSON, which nobody awaits
  then: outcomeThen,
  count,
  ruleNow,
  ruleThen,
});

const sampleRow = ({ timeMs, id, request, inForce, candidate, why, values }: SampleRow): object => ({
  time: new Date(timeMs).toISOString(),
  id,
  request,
  now: inForce,
  // oxlint-disable-next-line unicorn/no-thenable -- JSON, which nobody awaits
  then: candidate,
  why,
  values,
});
