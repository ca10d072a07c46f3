/**
 * One candidate in all workers of a crew.
 * **In**: candidates, as texts. **Out**: one report of all workers. **Fails**: as a worker fails to prepare it; then no worker takes it.
 */
import { mergedReports } from '../../candidate/report.ts';
import type { OwnLog } from '../../log/log.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Crew } from '../crew/crew.ts';
import { LIFE_MS, type RunningWorker } from '../crew/running-worker.ts';
import type { PolicyTexts } from './source.ts';
import type { CandidateService } from './thread.ts';
import type { PolicyProtocol } from './worker-protocol.ts';

/** A worker that does not answer in time is left out of the page. */
const REPORT_MS = 2000;

export class CandidateCrew implements CandidateService {
  readonly #crew: Crew<PolicyProtocol>;
  readonly #log: OwnLog;
  #texts: PolicyTexts | undefined;

  constructor(crew: Crew<PolicyProtocol>, log: OwnLog) {
    this.#crew = crew;
    this.#log = log;
  }

  /** One at a time. */
  async use(_policy: unknown, texts: PolicyTexts): Promise<void> {
    try {
      await this.#crew.askAll('prepareCandidate', texts, LIFE_MS);
    } catch (error) {
      await this.#crew.askAll('settleCandidate', 'abandon', LIFE_MS).catch(() => undefined);
      throw error;
    }
    this.#texts = texts;
    await this.#crew.askAll('settleCandidate', 'commit', LIFE_MS);
  }

  async report(): ReturnType<CandidateService['report']> {
    const answers = await this.#crew.answersOf('candidate', undefined, REPORT_MS);
    return mergedReports(answers.flatMap(({ answer }) => answer ?? []));
  }

  /** A worker serves that was not there, or was restarted: it takes the candidate of the others. */
  async joined(worker: RunningWorker<PolicyProtocol>): Promise<void> {
    try {
      for (let texts: PolicyTexts | undefined; texts !== this.#texts;) {
        texts = this.#texts;
        if (texts === undefined) return;
        await worker.ask('prepareCandidate', texts, LIFE_MS);
        await worker.ask('settleCandidate', 'commit', LIFE_MS);
      }
    } catch (error) {
      this.#log.warn('a worker cannot take the candidate, and compares nothing until it changes', {
        worker: worker.number,
        error: messageOf(error),
      });
    }
  }
}
