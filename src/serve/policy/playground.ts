/**
 * Decides one call by a draft of a policy, without side effects.
 * **In**: the text of a policy, or the one in force; a call. **Out**: the explanation, and the findings about the text.
 * **Fails**: with a sentence for a call that is not one; a policy with errors is a result.
 *
 * Adapters that need no backend are opened as they are. Other handlers answer as they did in a kept call, or count as unavailable;
 * quotas are counted from zero. A text loads no plugin but those of the policy in force, and reads neither files nor the environment;
 * its rules may use the handlers in force, whose configs it does not show.
 */
import { openHandler } from '../../adapters/open-handler.ts';
import { createPluginMetrics } from '../../adapters/plugin-metrics.ts';
import type { Registry } from '../../adapters/registry.ts';
import { createSharedMemory } from '../../adapters/shared-memory.ts';
import type { Played, PlayRequest } from '../../admin/sources.ts';
import type { Wire } from '../../attributes/bag.ts';
import { AttributeError } from '../../attributes/errors.ts';
import { plainRequest } from '../../attributes/plain-request.ts';
import { createEngine } from '../../core/engine.ts';
import { loadPolicyText } from '../../core/rules/load.ts';
import type { Policy } from '../../core/rules/policy.ts';
import type { Finding } from '../../yaml/findings.ts';
import { SnapshotError } from '../../core/snapshot/errors.ts';
import { explained, explanationJson } from '../../explain/explanation.ts';
import { type HandlerAnswer, recording } from '../../explain/handler-answers.ts';
import { SILENT } from '../../log/log.ts';
import type { RecordedCall } from '../../traffic/format.ts';
import { RecordedWire } from '../../traffic/recorded-wire.ts';
import { RecordedAnswers } from '../../traffic/replay/recorded-answers.ts';
import { replayHandlers } from '../../traffic/replay/replay-handlers.ts';
import { replayPolicy } from '../../traffic/replay/replay-policy.ts';
import type { PolicyTexts } from './source.ts';

export interface PlaygroundOptions {
  readonly registry: Registry;
  readonly inForce: () => Policy | undefined;
  /** Of the policy in force. */
  readonly texts: () => PolicyTexts | undefined;
  /** A kept call in the form of records. */
  readonly recorded: (id: string) => Promise<RecordedCall | undefined>;
}

export async function play({ policy: text, asked, id }: PlayRequest, options: PlaygroundOptions): Promise<Played> {
  const inForce = options.inForce();
  const { policy, findings } =
    text === undefined ? { policy: inForce, findings: [] } : await loaded(text, options, inForce);
  if (policy === undefined) return text === undefined ? { wrong: 'no policy is in force' } : failed(findings);
  const record = id === undefined ? undefined : await options.recorded(id);
  try {
    const wire = plainRequest(policy.attributes, asked.requests[0] ?? {}, asked.call, asked.carried);
    const explanation = await explanationOf(policy, asked.call, wire, record, options.registry);
    return { explanation, findings };
  } catch (error) {
    if (error instanceof AttributeError) return { wrong: error.message };
    if (error instanceof SnapshotError) return failed([...findings, ...error.findings]);
    throw error;
  }
}

const failed = (findings: readonly Finding[]): Played => ({ explanation: undefined, findings });

function loaded(
  text: string,
  { registry, texts }: PlaygroundOptions,
  inForce: Policy | undefined,
): Promise<{ readonly policy: Policy | undefined; readonly findings: readonly Finding[] }> {
  const known = inForce?.plugins ?? [];
  return loadPolicyText(new Map([['policy.yaml', text]]), {
    adapters: {
      ...registry,
      withPlugins: (entries) => {
        const names = new Set(entries.map(({ name }) => name));
        const own = known.filter(({ name }) => names.has(name));
        return registry.withPlugins(own, own);
      },
    },
    handlers: inForce?.handlers ?? new Map(),
    isLenient: texts()?.isLenient ?? false,
    env: {},
    readText: () => {
      throw new Error('the playground reads no files');
    },
  });
}

async function explanationOf(
  given: Policy,
  call: PlayRequest['asked']['call'],
  wire: Wire,
  record: RecordedCall | undefined,
  registry: Registry,
): Promise<object> {
  const memory = (await registry.including(['quota-memory'])).get('quota-memory');
  if (memory === undefined) throw new Error('the adapter quota-memory, which counts the quotas, is not loaded');
  const policy = replayPolicy(given, () => record?.id ?? 'playground');
  const recorded = new RecordedAnswers(policy);
  const [request] = record?.requests ?? [];
  if (record !== undefined && request !== undefined)
    recorded.begin([new RecordedWire(record.call, record.timeMs, request)]);
  const answers: HandlerAnswer[] = [];
  const opening = replayHandlers(
    {
      memory,
      countsQuotas: true,
      open: async (adapter, spec, config, clock) =>
        openHandler(
          adapter,
          { ...spec, config },
          { log: SILENT, metrics: createPluginMetrics(SILENT), shared: createSharedMemory(), clock },
        ),
    },
    {
      answers: recorded,
      unanswered: () => {},
      clock: { nowMs: () => Date.now(), monotonicMs: () => performance.now() },
    },
  );
  const engine = createEngine({ openHandlers: recording(opening, answers), keepsVerdicts: false });
  try {
    await engine.use(policy);
    return explanationJson(await explained(policy, engine, call, wire, false, answers));
  } finally {
    await engine.drain();
  }
}
