/** A worker of `sluice serve`. */
import { builtIns } from '../../adapters/loading/built-in.ts';
import { preparedTexts, runWorker } from '../crew/worker-main.ts';
import { makeLog } from '../../log/log.ts';
import { encodedPage } from './encoded-page.ts';
import { packedLetters } from './packed-letters.ts';
import { loadTexts, type PolicyTexts } from './source.ts';
import { openPolicyThread } from './thread.ts';
import type { PolicyProtocol } from './worker-protocol.ts';

await runWorker<PolicyProtocol>(
  ({ log }) => makeLog(log.format, log.level),
  async ({ data, place, log, escaped, shared }) => {
    const registry = builtIns();
    const { transport, otlpHttp, http, graceMs, candidateShare } = data;
    const worker = { place, shared };
    const thread = openPolicyThread({ log, transport, otlpHttp, http, graceMs, escaped, candidateShare, worker });
    // A worker that has just joined may be given the candidate while it changes.
    const candidate = preparedTexts<PolicyTexts>(async (texts) =>
      thread.candidate?.prepare(await loadTexts(texts, registry)),
    );
    const { sources } = thread;
    return {
      prepare: async (texts) => thread.prepare(await loadTexts(texts, registry)),
      listen: (at) => thread.listen(at),
      answers: {
        ...sources,
        limits: ({ depth, asked, leases }) => sources.limits(depth, asked, leases),
        holders: ({ id, leases }) => sources.holders(id, leases),
        letters: async (request) => packedLetters(await sources.letters(request)),
        prepareCandidate: candidate.prepare,
        settleCandidate: candidate.settle,
        candidate: async () => thread.candidate?.report(),
        metrics: () => encodedPage(sources.metrics()),
      },
      drain: () => thread.drain(),
    };
  },
);
