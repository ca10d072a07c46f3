/**
 * Changes of the policy in force that are not changes of its files: a candidate that is promoted, a policy that comes back.
 * **In**: requests of operators. **Out**: the revision that is now in force, in all workers or in none. **Fails**: by refusing, with a
 * sentence; the policy in force then stays.
 */
import type { ChangeResult, PolicyControl } from '../../admin/sources.ts';
import type { Registry } from '../../adapters/registry.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { OwnLog } from '../../log/log.ts';
import { messageOf } from '../../text/message-of.ts';
import type { InTurn } from '../../time/in-turn.ts';
import { MAX_EARLIER, type Loads } from './loads.ts';
import type { CandidateFiles } from './server.ts';
import { findingsOf, loadTexts, type PolicyTexts } from './source.ts';
import type { PolicyService } from './thread.ts';

export interface PolicyControlOptions {
  readonly service: Pick<PolicyService, 'use' | 'candidate'>;
  readonly loads: Loads;
  readonly registry: Registry;
  readonly log: OwnLog;
  /** Shared with the source of the files: a load that runs is awaited. */
  readonly turns: InTurn;
  readonly candidate: (CandidateFiles & { readonly loads: Loads }) | undefined;
  /** Another policy than that of the files is in force. */
  readonly onChanged: () => void;
  readonly isDraining: () => boolean;
}

/** A policy, and exactly the texts that it was made of. */
interface LoadedPolicy {
  readonly policy: Policy;
  readonly texts: PolicyTexts;
}

export function policyControl(options: PolicyControlOptions): PolicyControl {
  const { service, loads, registry, log, turns, candidate, onChanged, isDraining } = options;

  const inTurn = (change: () => Promise<ChangeResult> | ChangeResult): Promise<ChangeResult> =>
    turns.run(() => (isDraining() ? refused(503, 'the server is stopping') : change()));

  const isInForce = (texts: PolicyTexts | undefined): boolean =>
    texts !== undefined && texts === loads.history[0]?.texts;

  /** `steps`: of a rollback. */
  async function use(who: string, load: () => Promise<LoadedPolicy>, steps?: number): Promise<ChangeResult> {
    const before = loads.policy?.revision;
    const { origin, done, failed } = steps === undefined ? PROMOTION : ROLLBACK;
    try {
      const { policy, texts } = await load();
      await service.use(policy, texts);
      loads.took(policy, texts, origin, steps);
      onChanged();
      const { revision, rules } = policy;
      log.info(`${done}; the files of the policy take over when they change, and at the next start`, {
        revision,
        before,
        rules: rules.length,
        who,
      });
      return { revision };
    } catch (error) {
      const why = messageOf(error);
      log.error(`${failed}; the policy in force stays`, { why, revision: before, who });
      return { status: 409, error: why, findings: findingsOf(error) };
    }
  }

  return {
    async candidate() {
      if (candidate === undefined) return undefined;
      const { configs, share, loads: own } = candidate;
      return {
        paths: configs,
        share,
        revision: own.policy?.revision,
        loadedAtMs: own.atMs,
        isInForce: isInForce(own.history[0]?.texts),
        refusal: own.refusal,
        report: await service.candidate.report(),
      };
    },
    promote: (revision, who) =>
      inTurn(() => {
        const policy = candidate?.loads.policy;
        const texts = candidate?.loads.history[0]?.texts;
        if (policy === undefined || texts === undefined)
          return refused(
            404,
            candidate === undefined
              ? 'there is no candidate; start the server with --candidate PATH'
              : 'no candidate has loaded; /candidate shows its errors',
          );
        if (revision !== undefined && revision !== policy.revision)
          return refused(409, `the candidate has changed: it is of revision ${policy.revision}, not ${revision}`);
        if (isInForce(texts)) return refused(409, `the candidate, of revision ${policy.revision}, is in force already`);
        return use(who, async () => ({ policy, texts }));
      }),
    rollback: (steps, who) =>
      inTurn(() => {
        const before = loads.before(steps);
        if (before === undefined) return refused(409, notKept(steps, loads.earlier.length));
        const { texts } = before;
        return use(who, async () => ({ texts, policy: await loadTexts(texts, registry) }), steps);
      }),
  };
}

const PROMOTION = {
  origin: 'candidate',
  done: 'candidate promoted',
  failed: 'the candidate could not be promoted',
} as const;
const ROLLBACK = {
  origin: 'rollback',
  done: 'policy rolled back',
  failed: 'an earlier policy could not be put in force',
} as const;

function notKept(steps: number, earlier: number): string {
  if (earlier === 0) return 'there is no earlier policy: the one in force is the first since the server started';
  const kept = earlier === 1 ? '1 earlier policy is kept' : `${earlier} earlier policies are kept`;
  return `there is no policy ${steps} steps back: ${kept}, of at most ${MAX_EARLIER}`;
}

const refused = (status: 404 | 409 | 503, error: string): ChangeResult => ({ status, error, findings: [] });
