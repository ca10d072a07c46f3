/**
 * **In**: a policy, how to open handlers, the snapshot in force. **Out**: a snapshot ready to be swapped in; handlers with an equal
 * adapter and config are kept, others opened. **Fails**: with a {@link SnapshotError} with all findings; opened handlers are closed
 * again, and kept ones forget what they prepared.
 */
import { perCallKind } from '../../attributes/carrier.ts';
import { SnapshotError } from './errors.ts';
import { candidatesOf, rulesOf } from '../match/candidates.ts';
import type { ThrottledLines } from '../handlers/throttled-line.ts';
import type { Meters } from '../metrics/meters.ts';
import type { HandlerSpec, Policy } from '../rules/policy.ts';
import { TimeSlice } from '../../time/time-slice.ts';
import type { LetterBoxes } from '../handlers/memory-letters.ts';
import type { MakeQueue, Spools } from '../handlers/spools.ts';
import { LiveHandler, type LiveHandlerContext, type OpenHandlers } from '../handlers/live-handler.ts';
import { Preparations } from './preparations.ts';
import { prepareRule } from './prepare-rule.ts';
import { Snapshot } from './snapshot.ts';
import { startInSlices } from './start-in-slices.ts';
import type { OpenHandler } from '../../adapters/open-handler.ts';
import { messageOf } from '../../text/message-of.ts';
import type { Finding } from '../../yaml/findings.ts';
import type { PreparedRule } from '../outcome.ts';
import type { Rule } from '../rules/rule.ts';

export interface SnapshotContext extends Omit<LiveHandlerContext, 'meters' | 'letters'> {
  readonly openHandlers: OpenHandlers;
  readonly meters: Meters;
  readonly nowMs: () => number;
  readonly spools: Spools;
  readonly letterBoxes: LetterBoxes;
  /** Texts of rules that are too long. */
  readonly longTexts: ThrottledLines;
}

export async function openSnapshot(
  policy: Policy,
  context: SnapshotContext,
  previous: Snapshot | undefined,
): Promise<Snapshot> {
  const slice = new TimeSlice();
  const specs = [...policy.handlers.values()];
  const kept = new Map(
    specs.flatMap((spec): [string, LiveHandler][] => {
      const known = previous?.handlers.get(spec.name);
      return known?.serves(spec) === true ? [[spec.name, known]] : [];
    }),
  );
  const { opened, findings } = await openAll(
    specs.filter(({ name }) => !kept.has(name)),
    context,
    slice,
  );
  const handlers = new Map(
    specs.flatMap(({ name }): [string, LiveHandler][] => {
      const handler = kept.get(name) ?? opened.get(name);
      return handler === undefined ? [] : [[name, handler]];
    }),
  );
  const preparations = new Preparations();
  for (const spec of specs) {
    const handler = kept.get(spec.name);
    if (handler !== undefined) preparations.hide(handler, spec);
  }
  const rules =
    findings.length > 0 ? [] : await preparedRules(policy, handlers, context, preparations, findings, slice);
  for (const { rule, why } of await preparations.rejected()) findings.push(rejection(policy, rule, why));
  if (findings.length > 0) {
    await Promise.all(await startInSlices(opened.values(), (handler) => handler.close(), slice));
    await preparations.forget();
    keepMetersOf(previous, context.meters);
    throw new SnapshotError(findings);
  }
  const candidates = await candidatesOf(rules, slice);
  for (const handler of handlers.values()) handler.retain();
  const byIndex = new Map(rulesOf(rules, 'enrich').map((prepared) => [prepared.rule.index, prepared]));
  const inNeed = policy.enrich.flatMap(({ index }) => byIndex.get(index) ?? []);
  const enrich = perCallKind((call) => inNeed.filter(({ rule }) => rule.calls.has(call)));
  return new Snapshot(policy, handlers, candidates, rulesOf(rules, 'quota'), enrich, preparations, context.nowMs);
}

/** Drops the counters of all rules and handlers but those of this snapshot. */
export function keepMetersOf(
  snapshot: Snapshot | undefined,
  meters: Meters,
  alsoHandlers: Iterable<string> = [],
): void {
  const handlers = new Set([...(snapshot?.handlers.keys() ?? []), ...alsoHandlers]);
  meters.keepOnly(new Set(snapshot?.policy.rules.map(({ name }) => name)), handlers);
}

async function openAll(
  specs: readonly HandlerSpec[],
  context: SnapshotContext,
  slice: TimeSlice,
): Promise<{ opened: Map<string, LiveHandler>; findings: Finding[] }> {
  const opened = new Map<string, LiveHandler>();
  const findings: Finding[] = [];
  const results = await Promise.allSettled(await startInSlices(specs, (spec) => openOne(spec, context), slice));
  for (const [index, result] of results.entries()) {
    if (slice.isOver) await slice.next();
    const spec = specs[index];
    if (spec === undefined) continue;
    if (result.status === 'fulfilled')
      opened.set(
        spec.name,
        new LiveHandler(
          spec,
          result.value.open,
          {
            ...context,
            meters: context.meters.ofHandler(spec.name),
            letters: () => context.letterBoxes.of(spec.name),
          },
          result.value.queue,
        ),
      );
    else
      findings.push(
        finding(
          'CORE_HANDLER_OPEN',
          spec.position,
          `the handler ${spec.name} could not be opened: ${spec.secrets.text(messageOf(result.reason))}`,
        ),
      );
  }
  return { opened, findings };
}

async function openOne(
  spec: HandlerSpec,
  { openHandlers, spools }: SnapshotContext,
): Promise<{ readonly open: OpenHandler; readonly queue: MakeQueue | undefined }> {
  const open = await openHandlers(spec);
  try {
    return { open, queue: await spools.queueOf(spec) };
  } catch (error) {
    await open.close();
    throw error;
  }
}

async function preparedRules(
  policy: Policy,
  handlers: ReadonlyMap<string, LiveHandler>,
  { meters, longTexts }: SnapshotContext,
  preparations: Preparations,
  findings: Finding[],
  slice: TimeSlice,
): Promise<PreparedRule[]> {
  const prepared: PreparedRule[] = [];
  for (const rule of policy.rules) {
    try {
      prepared.push(prepareRule(rule, policy, handlers, { meters: meters.ofRule(rule.name), longTexts }, preparations));
    } catch (error) {
      findings.push(rejection(policy, rule, messageOf(error)));
    }
    if (slice.isOver) await slice.next();
  }
  return prepared;
}

/** The plugin may repeat any secret of its config. */
function rejection({ handlers }: Policy, { name, position, action }: Rule, why: string): Finding {
  const handler = action !== undefined && 'handler' in action ? action.handler : undefined;
  const secrets = handler === undefined ? undefined : handlers.get(handler)?.secrets;
  return finding('CORE_RULE_PREPARE', position, `the rule ${name} could not be prepared: ${secrets?.text(why) ?? why}`);
}

const finding = (code: string, position: Finding['position'], message: string): Finding => ({
  severity: 'error',
  position,
  code,
  message,
  excerpt: undefined,
});
